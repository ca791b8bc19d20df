"""An index by which the latest predictions are found without reading all of them."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the index."""
    op.create_index("predictions_made", "predictions", ["made_at", "prediction_id"])

"""Which rung of the ladder made a prediction, and why it was not the first; those before are the full model's."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("predictions", sa.Column("rung", sa.Text, nullable=False, server_default="full"))
    op.add_column("predictions", sa.Column("reason", sa.Text))

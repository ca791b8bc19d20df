"""Who told an outcome, and how likely a question was to be decided as it was."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("predictions", sa.Column("propensity", sa.Float(53), nullable=False, server_default="1"))
    op.add_column("outcomes", sa.Column("told_by", sa.Text, nullable=False, server_default=""))

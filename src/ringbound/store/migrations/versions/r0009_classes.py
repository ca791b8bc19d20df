"""The probabilities of all classes, where an answer is one of each."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns."""
    for table, name in (("predictions", "answers"), ("pairs", "champion_answers"), ("pairs", "challenger_answers")):
        op.add_column(table, sa.Column(name, sa.LargeBinary))

"""What came of predictions, seals over their records, and in each record its decision, the code and the time it took."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables and add the columns."""
    op.create_table(
        "outcomes",
        sa.Column("seq", BIG, sa.Identity(), primary_key=True),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.Column("available_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("prediction_id", "time", "value"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "seals",
        sa.Column("seal", BIG, sa.Identity(), primary_key=True),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("leaves", sa.Text, nullable=False),
        sa.UniqueConstraint("chain", "number"),
        sqlite_autoincrement=True,
    )
    op.add_column("predictions", sa.Column("decision", sa.Boolean))
    op.add_column("predictions", sa.Column("code", sa.Text, nullable=False, server_default=""))
    op.add_column("predictions", sa.Column("took_us", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("predictions", sa.Column("seal", sa.BigInteger))

"""What serves, roll-outs with the evidence about them, and the Bentos that services fetch."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "bentos",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("archive", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "deployments",
        sa.Column("seq", BIG, sa.Identity(), primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "pairs",
        sa.Column("seq", BIG, sa.Identity(), primary_key=True),
        sa.Column("rollout", sa.BigInteger, nullable=False),
        sa.Column("batch", sa.BigInteger, nullable=False),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("champion_failed", sa.Boolean, nullable=False),
        sa.Column("challenger_failed", sa.Boolean, nullable=False),
        sa.Column("champion", sa.Float(53)),
        sa.Column("challenger", sa.Float(53)),
        sa.Column("champion_lower", sa.Boolean, nullable=False),
        sa.Column("challenger_lower", sa.Boolean, nullable=False),
        sa.Column("champion_us", sa.Float(53)),
        sa.Column("challenger_us", sa.Float(53)),
        sqlite_autoincrement=True,
    )
    op.create_index("pairs_predictions", "pairs", ["prediction_id"])

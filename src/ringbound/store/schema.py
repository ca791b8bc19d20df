"""The store's tables, and how an older store becomes a current one: Alembic's revisions in `migrations/versions`."""

import logging
from pathlib import Path

import sqlalchemy as sa

from ringbound.errors import StoreError, one_line

LOG = logging.getLogger(__name__)
METADATA = sa.MetaData()
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers rows only in a column of this name
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("seq", BIG, sa.Identity(), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("available_at", sa.BigInteger, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.UniqueConstraint("source", "id"),
    sa.Index("events_known", "available_at"),
    sqlite_autoincrement=True,
)
PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("features", sa.Text, nullable=False),
    sa.Column("answer", sa.Float(53), nullable=False),
    sa.Column("row", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("rung", sa.Text, nullable=False, server_default="full"),
    sa.Column("reason", sa.Text),
    sa.Column("decision", sa.Boolean),
    sa.Column("code", sa.Text, nullable=False, server_default=""),
    sa.Column("took_us", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("propensity", sa.Float(53), nullable=False, server_default="1"),
    sa.Column("answers", sa.LargeBinary),
    sa.Column("seal", sa.BigInteger),
    sa.Index("predictions_made", "made_at", "prediction_id"),
    sa.Index("predictions_asked", "at", "prediction_id"),
)
SEALS = sa.Table(
    "seals",
    METADATA,
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
OUTCOMES = sa.Table(
    "outcomes",
    METADATA,
    sa.Column("seq", BIG, sa.Identity(), primary_key=True),
    sa.Column("prediction_id", sa.Text, nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Float(53), nullable=False),
    sa.Column("available_at", sa.BigInteger, nullable=False),
    sa.Column("told_by", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("prediction_id", "time", "value"),
    sqlite_autoincrement=True,
)
KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("rate", sa.Float(53), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
)
BENTOS = sa.Table(
    "bentos",
    METADATA,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("archive", sa.LargeBinary, nullable=False),
)
DEPLOYMENTS = sa.Table(
    "deployments",
    METADATA,
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
PAIRS = sa.Table(
    "pairs",
    METADATA,
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
    sa.Column("champion_answers", sa.LargeBinary),
    sa.Column("challenger_answers", sa.LargeBinary),
    sa.Index("pairs_predictions", "prediction_id"),
    sqlite_autoincrement=True,
)
DAYS = sa.Table(
    "days",
    METADATA,
    sa.Column("profile", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("stamp", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
ALERTS = sa.Table(
    "alerts",
    METADATA,
    sa.Column("seq", BIG, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("day", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
REPORTS = sa.Table(
    "reports",
    METADATA,
    sa.Column("seq", BIG, sa.Identity(), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
ABOUT = sa.Table("about", METADATA, sa.Column("log", sa.Text, primary_key=True))
VERSION = sa.table("alembic_version", sa.column("version_num", sa.Text))

FIRST = "0001"
"""The schema of stores that were made before stores had a version."""
HEAD = "0009"


def is_current(connection: sa.Connection) -> bool:
    """Return whether a store has the tables that it should."""
    return _version(connection, set(sa.inspect(connection).get_table_names())) == HEAD


def _version(connection: sa.Connection, tables: set[str]) -> str | None:
    return connection.scalar(sa.select(VERSION.c.version_num)) if "alembic_version" in tables else None


def bring_up_to_date(connection: sa.Connection) -> None:
    """Make the tables of a new store, or migrate an older one, within the caller's transaction.

    `StoreError` where the store is newer than this version of ringbound.
    """
    tables = set(sa.inspect(connection).get_table_names())
    version = _version(connection, tables)
    if version == HEAD:
        return
    # Only here: a store that is current, which is nearly every one, opens without it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    from alembic.util.exc import CommandError

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise StoreError(
            f"store: expected a schema up to {HEAD}; got {version}, of a newer ringbound; install that version"
        )
    if version is None and "events" in tables:
        version = FIRST
        command.stamp(config, FIRST)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"store: its schema cannot be read: {one_line(error, 200)}; restore it from a backup"
        ) from error
    if version is not None:
        LOG.warning("store: schema %s brought up to %s", version, HEAD)

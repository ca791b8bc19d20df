"""Run revisions on the connection, and within the transaction, that the caller has opened."""

from alembic import context

from ringbound.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()

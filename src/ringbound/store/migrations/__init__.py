"""Alembic's environment of the store: see `ringbound.store.schema.bring_up_to_date`, the one that calls it."""

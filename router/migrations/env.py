"""Alembic's entry: migrate over the connection that `router.store` hands in."""

from alembic import context

from router.store import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()

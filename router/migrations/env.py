"""Alembic's entry: migrate over the connection that `router.tables` hands in."""

from alembic import context

from router.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()

"""Alembic's entry: run the migrations on the connection that `Database.migrate` hands over."""

from alembic import context

from orchestration.storage.tables import metadata

# SQLite can neither drop a constraint nor change a column; migrations in batch mode copy the table instead:
# https://sqlite.org/lang_altertable.html
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

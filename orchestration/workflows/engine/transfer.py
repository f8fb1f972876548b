"""The durable engine's tables, for moving them to another database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from dbos import DBOSPortableJSONSerializer
from dbos._schemas.system_database import SystemSchema
from dbos._sys_db import SystemDatabase


def engine_tables() -> Sequence[sa.Table]:
    """All tables of the engine, those first that others refer to."""
    return SystemSchema.metadata_obj.sorted_tables


@contextlib.contextmanager
def opened(url: str) -> Iterator[sa.Engine]:
    """The database of an engine that is not running, with its tables made or brought up to date."""
    database = SystemDatabase.create(
        system_database_url=url,
        engine_kwargs={},
        engine=None,
        schema=None,
        serializer=DBOSPortableJSONSerializer(),
        executor_id=None,
    )
    try:
        database.run_migrations()
        yield database.engine
    finally:
        database.destroy()

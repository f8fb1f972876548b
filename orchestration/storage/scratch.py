"""Temporary databases on a server, such as for a drill."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from orchestration.errors import UsageError

# An identifier cannot be a bound parameter, so the name is written into the statement, and only harmless names may be.
# PostgreSQL cuts names after 63 bytes without an error.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@contextmanager
def scratch_database(server_url: str, name: str) -> Iterator[str]:
    """Create a database on the server of a URL, yield its URL, and drop it at the end. The database that the given URL
    names is not changed. Raises UsageError for a URL that is not PostgreSQL's, and for an invalid name."""
    try:
        url = sa.make_url(server_url)
    except sa.exc.ArgumentError as error:
        raise UsageError("This is not the URL of a database. Expected one such as postgresql+psycopg://…") from error
    if url.get_backend_name() != "postgresql":
        raise UsageError(f"expected the URL of a PostgreSQL server, got one of {url.get_backend_name()}")
    if not _NAME.fullmatch(name):
        raise UsageError(f"expected a database name of lower-case letters, digits and underscores, got '{name}'")
    # CREATE DATABASE cannot run inside a transaction.
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            with engine.connect() as connection:
                # FORCE (PostgreSQL 13 and later) ends the connections of processes that a failed drill has left behind;
                # the server refuses to drop a database in use.
                connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        engine.dispose()

"""Databases on a server that are there for a while only, such as for a drill."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from orchestration.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@contextmanager
def scratch_database(server_url: str, name: str) -> Iterator[str]:
    """A new database beside the one of the address, dropped at the end; yields its address. The database that the
    address names is not touched. Raises UsageError for an address that is not PostgreSQL's, and for a bad name."""
    try:
        url = sa.make_url(server_url)
    except sa.exc.ArgumentError as error:
        raise UsageError("expected a database's address such as postgresql+psycopg://…, got something else") from error
    if url.get_backend_name() != "postgresql":
        raise UsageError(f"expected the address of a PostgreSQL server, got one of {url.get_backend_name()}")
    if not _NAME.fullmatch(name):
        raise UsageError(f"expected small letters, digits and underscores as a database's name, got '{name}'")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            with engine.connect() as connection:
                connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        engine.dispose()

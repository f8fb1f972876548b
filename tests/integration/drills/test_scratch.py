"""Scratch databases are made beside the others, and surely dropped."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from orchestration.errors import UsageError
from orchestration.storage.database import Database
from orchestration.storage.scratch import scratch_database


def names(url: str) -> set[str]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = set(connection.execute(sa.text("SELECT datname FROM pg_database")).scalars())
    engine.dispose()
    return found


def test_a_scratch_database_can_be_used_and_is_gone_afterwards(postgres_url: str) -> None:
    before = names(postgres_url)
    with scratch_database(postgres_url, "drill_one") as url:
        database = Database(url)
        database.migrate()
        assert database.version() is not None
        # Left open on purpose: whoever still holds a connection does not keep it from being dropped.
        assert names(postgres_url) == before | {"drill_one"}
    assert names(postgres_url) == before
    database.close()


def test_it_is_dropped_after_an_error_too(postgres_url: str) -> None:
    before = names(postgres_url)
    with pytest.raises(RuntimeError), scratch_database(postgres_url, "drill_two"):
        raise RuntimeError
    assert names(postgres_url) == before


@pytest.mark.parametrize(
    ("url", "name", "message"),
    [
        ("sqlite:///x.db", "drill", "expected the URL of a PostgreSQL server, got one of sqlite"),
        ("nonsense", "drill", "not the URL of a database"),
        ("postgresql+psycopg://x/y", 'drill"; --', "expected a database name of lower-case letters"),
    ],
)
def test_other_addresses_and_names_are_refused(url: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), scratch_database(url, name):
        pass

from __future__ import annotations

import gc
import sqlite3
import weakref

import psycopg
import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.engines import close_engine, make_engine


def is_closed(raw: object) -> bool:
    """Whether a connection of either driver is."""
    try:
        raw.execute("SELECT 1")  # type: ignore[attr-defined]
    except (sqlite3.Error, psycopg.Error) as error:
        return "closed" in str(error)
    return False


def test_a_connection_that_is_in_use_when_all_are_closed_is_closed_when_it_is_given_back(database_url: str) -> None:
    engine = make_engine(database_url)
    connection = engine.connect()
    raw = connection.connection.dbapi_connection
    close_engine(engine)
    assert connection.execute(sa.text("SELECT 1")).scalar() == 1, "whoever is at work may finish"
    connection.close()
    assert is_closed(raw)


def test_what_a_late_thread_opens_is_closed_behind_it(database_url: str) -> None:
    database = Database(database_url)
    database.close()
    database.close()
    with database.read() as connection:
        raw = connection.connection.dbapi_connection
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    assert is_closed(raw)


def test_nothing_is_left_to_the_garbage_collector(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.read() as connection:
        raw = weakref.ref(connection.connection.dbapi_connection)
        database.close()
    del connection
    del database
    gc.collect()  # psycopg complains of a connection that is open then; warnings are errors here
    assert raw() is None or is_closed(raw())

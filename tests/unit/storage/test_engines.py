"""Connections that threads still use when their database is closed."""

from __future__ import annotations

import pytest

from orchestration.storage.database import Database


def _is_closed(connection: object) -> bool:
    said = getattr(connection, "closed", None)
    if said is not None:
        return bool(said)
    with pytest.raises(Exception, match="closed database"):
        connection.execute("SELECT 1")  # type: ignore[attr-defined]
    return True


def test_a_connection_in_use_at_the_close_is_closed_when_it_is_given_back(database_url: str) -> None:
    database = Database(database_url)
    with database.read() as connection:
        mine = connection.connection.driver_connection
        database.close()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert _is_closed(mine)


def test_a_thread_that_asks_after_the_close_leaves_nothing_open(database_url: str) -> None:
    database = Database(database_url)
    database.close()
    with database.read() as connection:
        mine = connection.connection.driver_connection
    assert _is_closed(mine)

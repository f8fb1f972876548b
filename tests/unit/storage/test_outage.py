from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from orchestration.storage.outage import GoneError, UnavailableError, is_outage


def of_sqlite(code: int) -> OperationalError:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return OperationalError("SELECT 1", {}, error)


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("suspended"),
        OperationalError("SELECT 1", {}, GoneError("the file is gone")),
        *map(
            of_sqlite,
            (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_FULL,
                sqlite3.SQLITE_IOERR_FSYNC,
                sqlite3.SQLITE_READONLY_DBMOVED,
            ),
        ),
        OperationalError("SELECT 1", {}, psycopg.OperationalError("connection failed: refused")),
        OperationalError("SELECT 1", {}, psycopg.errors.AdminShutdown("terminating connection")),
        OperationalError("SELECT 1", {}, psycopg.errors.TooManyConnections("sorry, too many clients already")),
        DatabaseError("SELECT 1", {}, psycopg.InterfaceError("closed"), connection_invalidated=True),
    ],
)
def test_what_may_work_when_the_database_is_back_is_an_outage(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no error of a database"),
        sqlite3.OperationalError("not by our engine"),
        of_sqlite(sqlite3.SQLITE_ERROR),
        OperationalError("SELECT 1", {}, sqlite3.OperationalError("no such table: runs")),
        DatabaseError("SELECT 1", {}, sqlite3.DatabaseError("database disk image is malformed")),
        IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        OperationalError("SELECT 1", {}, psycopg.errors.QueryCanceled("canceling statement")),
        IntegrityError("INSERT", {}, psycopg.errors.UniqueViolation("duplicate key")),
    ],
)
def test_what_would_fail_again_is_none(error: Exception) -> None:
    assert not is_outage(error)

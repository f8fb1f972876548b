"""Whether an error says that the database is away for now. Pure.

Work that meets such an error waits and goes on; any other error of a database is a mistake, and waiting for it would
never end.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

# The primary result codes of a file that cannot be opened, locked, read, written or enlarged at present:
# https://sqlite.org/rescode.html. A damaged file (SQLITE_CORRUPT, SQLITE_NOTADB) is none of them.
_SQLITE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
# Classes of SQLSTATE: connection exception, insufficient resources, operator intervention
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_POSTGRES_CLASSES = ("08", "53", "57")
# A statement that was cancelled or ran into its time limit, and a database that was dropped, would fail again.
_POSTGRES_FOR_GOOD = ("57014", "57P04")


class UnavailableError(SQLAlchemyError):
    """The database is known to be unavailable, so it is not asked. This is an error of SQLAlchemy, so that code which
    survives an outage survives this as well."""


class GoneError(sqlite3.OperationalError):
    """The file that was open before is not there any more."""


def is_outage(error: BaseException) -> bool:
    """Whether what failed may work when the database is back."""
    if isinstance(error, UnavailableError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or isinstance(error.orig, GoneError):
        return True
    if isinstance(error.orig, sqlite3.OperationalError):
        # The lower byte of an extended code is the primary one.
        code = getattr(error.orig, "sqlite_errorcode", None)
        return code is not None and (code & 0xFF) in _SQLITE_CODES
    return _is_postgres_outage(error)


def _is_postgres_outage(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        # A connection that could not be made has no state.
        return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
    return state.startswith(_POSTGRES_CLASSES) and state not in _POSTGRES_FOR_GOOD

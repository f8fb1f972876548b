"""The database: whether it answers, and whether its contents are intact."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.storage.database import Database
from orchestration.storage.sqlite_file import open_file
from orchestration.storage.tables import runs

_QUICK_SECONDS = 5.0
# Longer than a lock is waited for below, so that a lock is reported as one and not as a missing answer.
_PATIENCE_SECONDS = 5.0
# Our transactions take milliseconds, so a lock that lasts this long belongs to another program.
_LOCK_SECONDS = 4.0
_MOST_ASKING = 2
_MOST_FINDINGS = 5
# data_corrupted, index_corrupted, undefined_table: https://www.postgresql.org/docs/current/errcodes-appendix.html.
# A table of ours that does not exist was lost with its contents.
_DAMAGED = frozenset({"XX001", "XX002", "42P01"})
# Reading what is there failed: https://www.sqlite.org/rescode.html
_LOST_SQLITE = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_DATA,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
    }
)
_DAMAGED_SQLITE = ("malformed", "not a database", "no such table")


class DatabaseWatch:
    """Checks our database, and with SQLite also other files (`also`), such as the engine's."""

    def __init__(self, database: Database, clock: Clock, also: Sequence[Path] = ()) -> None:
        self._database = database
        self._clock = clock
        self._files = sqlite_files(database, also)
        self._first = {path: path.stat().st_ino for path in self._files if path.exists()}
        self._asking = 0

    async def collect(self) -> tuple[Signal, ...]:
        """Check that the database answers in time and can be written, and suspend its use while it does not.

        If the answer indicates damage, its integrity is checked at once. A server that is cut off may keep a connection
        waiting for minutes: such a thread is abandoned, and there are never more than two.
        """
        if self._asking < _MOST_ASKING:
            with anyio.move_on_after(_PATIENCE_SECONDS):
                return await anyio.to_thread.run_sync(self._ask, abandon_on_cancel=True)
        detail = f"no answer within {_PATIENCE_SECONDS:g} s"
        self._database.suspend(detail)
        return (Signal("database_up", self._clock.now(), 0.0, {}, {"detail": detail}),)

    def _ask(self) -> tuple[Signal, ...]:
        # Counted on the thread: one that was abandoned holds its connection until the server or the kernel gives up.
        self._asking += 1
        try:
            return self._answer()
        finally:
            self._asking -= 1

    def _answer(self) -> tuple[Signal, ...]:
        now = self._clock.now()
        # The query comes last: a connection that is open already goes on answering from a file that is gone or locked.
        found = self._gone() or self._locked() or self._query()
        # Once more: a file that has gone in between explains whatever the others have found.
        problem, damaged = (self._gone() or found) if found[0] else found
        self._database.suspend(problem)
        # Reported, but no reason to suspend: connections that are open keep working when the file cannot
        # be opened anew.
        problem = problem or next(filter(None, map(unreadable, self._files)), "")
        up = Signal("database_up", now, 0.0 if problem else 1.0, {}, {"detail": problem} if problem else {})
        return (up, *self.check()) if damaged else (up,)

    def check(self) -> tuple[Signal, ...]:
        """Check the integrity: by a query, and on SQLite by its own check of every page. Blocks.

        Reports nothing for a database that cannot be reached.
        """
        problem, damaged = self._query()
        checked = [quick_check(path) for path in self._files if path.exists()]
        findings = [problem] if damaged else []
        findings += [finding for one in checked for finding in one or ()]
        if not findings and (None in checked or self._gone() or (problem and not self._files)):
            return ()
        return (self._intact(findings),)

    def _intact(self, findings: list[str]) -> Signal:
        evidence = {"detail": findings[0], "findings": findings} if findings else {}
        return Signal("database_intact", self._clock.now(), 0.0 if findings else 1.0, {}, evidence)

    def _query(self) -> tuple[str, bool]:
        """What is wrong, and whether it is damage; an empty text if nothing is."""
        try:
            # This query is what finds out that a suspension can end.
            with self._database.read(even_suspended=True) as connection:
                connection.execute(sa.select(runs.c.id).limit(1)).first()
        except SQLAlchemyError as error:
            return _told(error), is_damage(error)
        return "", False

    def _locked(self) -> tuple[str, bool] | None:
        """Whether another program keeps an SQLite file locked. Tested on a new connection: ours may be waiting."""
        for path in self._files[:1]:
            try:
                # BEGIN IMMEDIATE takes the write lock without writing.
                with closing(open_file(path, _LOCK_SECONDS)) as file:
                    file.execute("BEGIN IMMEDIATE")
                    file.execute("ROLLBACK")
            except sqlite3.Error as error:
                if "locked" in str(error):
                    return f"{path.name} cannot be written for {_LOCK_SECONDS:g} s: {error}", False
        return None

    def _gone(self) -> tuple[str, bool] | None:
        """Whether a file was deleted or replaced: open connections would go on with the old one, unseen."""
        for path in self._files:
            try:
                number = path.stat().st_ino
            except OSError:
                if path not in self._first:
                    continue  # not made yet
                return f"the database file {path.name} is gone", False
            if self._first.setdefault(path, number) != number:
                return f"the database file {path.name} was replaced: there is another in its place", False
        return None


def quick_check(path: Path) -> list[str] | None:
    """What SQLite finds wrong with a file; empty when it is whole, None where it cannot be read now. Reads all of it,
    over a connection of its own."""
    try:
        with closing(_opened(path)) as file:
            # Not `integrity_check`, which also compares indexes with tables and takes much longer:
            # https://www.sqlite.org/pragma.html#pragma_quick_check
            rows = file.execute(f"PRAGMA quick_check({_MOST_FINDINGS})").fetchall()
    except sqlite3.OperationalError as error:
        # A page that the disk does not give back is lost, in a file that can be opened. All else may pass, although
        # SQLite says "disk I/O error" for most of it: a full disk that has no room for the index of the log beside the
        # file, rights that somebody has changed, a mount that went read-only. The code tells them apart; that the file
        # can be opened a moment later does not, since the trouble may be over by then.
        lost = error.sqlite_errorcode in _LOST_SQLITE and not unreadable(path)
        return [f"{path.name}: {error}"] if lost else None
    except sqlite3.DatabaseError as error:
        return [f"{path.name}: {error}"]
    return [f"{path.name}: {row[0]}" for row in rows if row[0] != "ok"]


def unreadable(path: Path) -> str:
    """Why an SQLite file that is there cannot be opened and read now; empty where it can, be it damaged or locked."""
    if not path.exists():
        return ""
    try:
        # SQLite opens a file lazily, so only a first read shows whether it can be opened.
        with closing(_opened(path)) as file:
            file.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        return "" if "locked" in str(error) else f"{path.name} cannot be read: {error}"
    except sqlite3.DatabaseError:
        return ""
    return ""


def _opened(path: Path) -> sqlite3.Connection:
    return open_file(path, _QUICK_SECONDS, "ro")


def is_damage(error: SQLAlchemyError) -> bool:
    """Whether a database error says that what is stored is damaged."""
    original = getattr(error, "orig", None)
    if getattr(original, "sqlstate", None) in _DAMAGED:
        return True
    text = str(original).lower()
    return isinstance(original, sqlite3.DatabaseError) and any(words in text for words in _DAMAGED_SQLITE)


def sqlite_files(database: Database, also: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The files of an SQLite database; none for a server, or for one in memory."""
    name = database.engine.url.database
    if not database.is_sqlite or not name or name == ":memory:":
        return ()
    return (Path(name), *also)


def _told(error: SQLAlchemyError) -> str:
    """The database's own words: without the statement and its values, which may hold anything."""
    original = getattr(error, "orig", None)
    return f"{type(original or error).__name__}: {str(original or '').splitlines()[0] if str(original or '') else ''}"

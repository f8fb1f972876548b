from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.events import Event
from orchestration.monitoring.collectors import databases
from orchestration.monitoring.collectors.databases import DatabaseWatch, is_damage, quick_check, unreadable
from orchestration.storage.database import Database
from orchestration.storage.outage import UnavailableError
from orchestration.storage.timeline import Timeline
from tests.support.database import migrated
from tests.support.patience import fail_after, patient

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def path_of(database: Database) -> Path:
    return Path(str(database.engine.url.database))


def fill(database: Database) -> None:
    Timeline(database).append([Event("filler", NOON, data={"text": "mend it " * 40})] * 600)


def damage(database: Database, *, first_page: bool = False) -> None:
    """Write rubbish into the middle of the file, as a bad disk does, or over its beginning."""
    database.close()
    path = path_of(database)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(0 if first_page else 4096 * 8)
        file.write(b"\xa5" * 4096 * (1 if first_page else 40))


def values(signals: tuple[Signal, ...]) -> dict[str, float]:
    return {signal.name: signal.value for signal in signals}


async def test_a_database_that_is_well_answers_and_is_whole(database: Database) -> None:
    fill(database)
    watch = DatabaseWatch(database, FakeClock())
    assert values(await watch.collect()) == {"database_up": 1.0}
    assert values(watch.check()) == {"database_intact": 1.0}


def test_damaged_pages_are_found_though_the_database_still_answers(database: Database) -> None:
    fill(database)
    damage(database)
    watch = DatabaseWatch(database, FakeClock())
    (signal,) = watch.check()
    assert (signal.name, signal.value) == ("database_intact", 0.0)
    assert "orchestrator.db" in str(signal.evidence["findings"])


async def test_a_database_that_cannot_be_read_for_damage_is_down_and_damaged_at_once(database: Database) -> None:
    fill(database)
    damage(database, first_page=True)
    found = await DatabaseWatch(database, FakeClock()).collect()
    assert values(found) == {"database_up": 0.0, "database_intact": 0.0}
    assert "not a database" in str(found[0].evidence["detail"])


async def test_an_empty_file_in_the_place_of_the_database_is_data_that_was_lost(database: Database) -> None:
    fill(database)
    database.close()
    path = path_of(database)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    path.touch()
    watch = DatabaseWatch(database, FakeClock())
    assert values(await watch.collect()) == {"database_up": 0.0, "database_intact": 0.0}
    assert values(watch.check()) == {"database_intact": 0.0}


async def test_a_file_that_is_deleted_is_noticed_though_open_connections_go_on(database: Database) -> None:
    watch = DatabaseWatch(database, FakeClock())
    await watch.collect()
    path_of(database).unlink()
    (up,) = await watch.collect()
    assert (up.value, up.evidence["detail"]) == (0.0, "the database file orchestrator.db is gone")
    assert watch.check() == ()


async def test_a_file_that_is_moved_away_in_the_middle_of_a_look_is_not_replaced_by_an_empty_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, look = path_of(database), DatabaseWatch._gone

    def gone(watch: DatabaseWatch) -> Any:
        found = look(watch)
        if path.exists():
            path.rename(path.with_name("away.db"))
        return found

    monkeypatch.setattr(DatabaseWatch, "_gone", gone)
    watch = DatabaseWatch(database, FakeClock())
    for _ in range(2):
        (up,) = await watch.collect()
        assert not path.exists()
    assert (up.value, up.evidence["detail"]) == (0.0, "the database file orchestrator.db is gone")


async def test_a_file_that_was_put_in_its_place_is_noticed(database: Database, tmp_path: Path) -> None:
    watch = DatabaseWatch(database, FakeClock())
    await watch.collect()
    shutil.copy(path_of(database), tmp_path / "copy")
    (tmp_path / "copy").rename(path_of(database))
    assert "another in its place" in str((await watch.collect())[0].evidence["detail"])


async def test_the_engines_file_is_looked_at_too_once_it_is_there(database: Database, tmp_path: Path) -> None:
    engine = tmp_path / "engine.db"
    watch = DatabaseWatch(database, FakeClock(), [engine])
    assert values(await watch.collect()) == {"database_up": 1.0}
    other = migrated(f"sqlite:///{engine}")
    fill(other)
    assert values((*await watch.collect(), *watch.check())) == {"database_up": 1.0, "database_intact": 1.0}
    damage(other)
    assert "engine.db" in str(watch.check()[0].evidence["findings"])


async def test_a_server_that_is_not_there_is_down_and_says_nothing_of_damage() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=2")
    watch = DatabaseWatch(database, FakeClock())
    (up,) = await watch.collect()
    assert up.value == 0.0
    assert "nobody" not in str(up.evidence)
    assert watch.check() == ()
    database.close()


async def test_a_database_that_keeps_everybody_waiting_is_down_after_a_few_seconds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(databases, "_PATIENCE_SECONDS", 0.05)
    watch = DatabaseWatch(database, FakeClock())
    asked: list[int] = []

    def query() -> tuple[str, bool]:
        asked.append(1)
        return ("", not release.wait(patient(20)))

    monkeypatch.setattr(watch, "_query", query)
    with fail_after(10):
        while len(asked) < 2:
            (up,) = await watch.collect()
            assert (up.value, up.evidence) == (0.0, {"detail": "no answer within 0.05 s"})
    assert [one.value for one in (*await watch.collect(), *await watch.collect())] == [0.0, 0.0]
    assert len(asked) == 2
    release.set()
    with fail_after(5):
        while values(await watch.collect())["database_up"] == 0.0:
            await anyio.sleep(0.01)


@pytest.mark.parametrize(("state", "expected"), [("XX001", True), ("XX002", True), ("57P01", False)])
def test_postgresql_names_damage_by_its_code(state: str, expected: bool) -> None:
    original = type("Answer", (Exception,), {"sqlstate": state})("invalid page in block 3")
    assert is_damage(sa.exc.DBAPIError("SELECT 1", {}, original)) is expected


async def test_a_database_that_another_writes_to_is_not_taken_for_damaged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(path_of(database), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert quick_check(path_of(database)) == []
        assert values(await DatabaseWatch(database, FakeClock()).collect()) == {"database_up": 0.0}


async def test_a_file_that_another_program_keeps_locked_is_down_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_LOCK_SECONDS", 0.1)
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    watch = DatabaseWatch(database, FakeClock())
    with closing(sqlite3.connect(tmp_path / "orchestrator.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        (up,) = await watch.collect()
        assert up.value == 0.0
        assert "database is locked" in str(up.evidence["detail"])
        for use in (database.write, database.read):
            with pytest.raises(UnavailableError, match="locked"), use():
                pass
        other.execute("ROLLBACK")
    (up,) = await watch.collect()
    assert (up.value, up.evidence) == (1.0, {})
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE back (number INTEGER)")
    database.close()


async def test_who_waits_already_for_a_locked_file_gives_up_when_it_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_LOCK_SECONDS", 0.5)
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    failed: list[Exception] = []

    def write() -> None:
        try:
            with database.write():
                pass
        except UnavailableError as error:
            failed.append(error)

    # Two of them have a connection each, and the third waits for one.
    writers = [threading.Thread(target=write) for _ in range(3)]
    with closing(sqlite3.connect(tmp_path / "orchestrator.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for writer in writers:
            writer.start()
        (up,) = await DatabaseWatch(database, FakeClock()).collect()
        assert up.value == 0.0
        for writer in writers:
            writer.join(patient(5))  # a quarter of a second; without being told, half a minute
        assert len(failed) == 3
        other.execute("ROLLBACK")
    database.close()


def test_a_writer_has_its_turn_when_the_lock_is_gone(database: Database) -> None:
    with closing(sqlite3.connect(path_of(database), isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.6, other.execute, ("ROLLBACK",))  # longer than one turn of waiting
        release.start()
        with database.write() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000, "all else waits as before"
        release.join()


_CHECK_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from orchestration.monitoring.collectors.databases import quick_check, unreadable
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
print(quick_check(path), unreadable(path), sep="|", flush=True)
"""


def test_a_file_that_cannot_be_read_now_is_not_taken_for_damaged(database: Database, tmp_path: Path) -> None:
    fill(database)
    copy = tmp_path / "copy.db"
    for ending in ("", "-wal"):  # without its index, for which there is no room: SQLite calls that a disk I/O error
        shutil.copy(f"{path_of(database)}{ending}", f"{copy}{ending}")
    command = [sys.executable, "-c", _CHECK_WITHOUT_ROOM, str(copy)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said == "None|copy.db cannot be read: disk I/O error\n"
    assert (quick_check(copy), unreadable(copy)) == ([], "")


async def test_an_engines_file_that_cannot_be_read_is_down_but_bars_nobody_from_ours(
    database: Database, tmp_path: Path
) -> None:
    engine = tmp_path / "engine.db"
    engine.mkdir()
    watch = DatabaseWatch(database, FakeClock(), [engine])
    (up,) = await watch.collect()
    assert (up.value, up.evidence["detail"]) == (0.0, "engine.db cannot be read: disk I/O error")
    assert watch.check() == (), "nothing is said of what was not read"
    with database.write():
        pass


IO_ERRORS = sorted({getattr(sqlite3, name) for name in dir(sqlite3) if name.startswith("SQLITE_IOERR")})
LOST = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_DATA,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}


def test_of_all_disk_errors_only_a_page_that_cannot_be_read_is_damage(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has passed by the time the file is opened again must not isolate the system."""
    codes = iter(IO_ERRORS)

    class Broken(sqlite3.Connection):
        def execute(self, statement: str, *rest: Any) -> sqlite3.Cursor:
            if "quick_check" in statement:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = next(codes)
                raise error
            return super().execute(statement, *rest)

    monkeypatch.setattr(databases.sqlite3, "connect", partial(sqlite3.connect, factory=Broken))
    found = {code for code in IO_ERRORS if quick_check(path_of(database)) == ["orchestrator.db: disk I/O error"]}
    assert found == LOST


async def test_nothing_is_written_to_a_file_that_was_moved_away(tmp_path: Path) -> None:
    file = tmp_path / "orchestrator.db"
    database = migrated(f"sqlite:///{file}")
    watch = DatabaseWatch(database, FakeClock())
    assert [signal.value for signal in await watch.collect()] == [1.0]
    file.rename(tmp_path / "away.db")
    assert [signal.value for signal in await watch.collect()] == [0.0]
    with pytest.raises(UnavailableError, match="is gone"), database.write():
        pass
    database.suspend("")
    database.engine.dispose()
    with pytest.raises(sa.exc.OperationalError, match="is gone"), database.read():
        pass
    assert not file.exists(), "no new one is made in its place"
    (tmp_path / "away.db").rename(file)
    assert [signal.value for signal in await watch.collect()] == [1.0]
    with database.write():
        pass
    database.close()

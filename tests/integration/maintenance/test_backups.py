"""Backups of real databases: made while others write, opened again, damaged, restored, and refused."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestration.config.maintenance import BackupSettings
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError, NotFoundError
from orchestration.maintenance.backups import BackupError, BackupStore
from orchestration.maintenance.backups.sqlite import SqliteFiles
from orchestration.storage.database import HEAD, REPLACING, Database
from tests.integration.maintenance.conftest import House
from tests.support.database import migrated


def nobody() -> tuple[str, ...]:
    return ()


def test_a_backup_is_opened_again_and_counted_before_it_counts(house: House) -> None:
    house.add_run("run-1")
    backup = house.vault.make()
    assert house.vault.list() == (backup,)
    assert backup.version == HEAD
    rows = backup.copies[0].rows
    assert rows.get("runs", rows.get("public.runs")) == 1
    assert house.kinds() == ["backup.made"]
    assert house.vault.verify(backup).good


def test_what_came_after_the_backup_is_gone_after_the_restore_and_is_kept_aside(house: House) -> None:
    house.add_run("run-1", status=RunStatus.WAITING)
    backup = house.vault.make()
    house.add_run("run-2")
    house.database.close()
    restored = house.vault.restore(backup, nobody)
    assert house.runs() == {"run-1"}
    house.add_run("run-3")
    if house.database.is_sqlite:
        aside = Database(f"sqlite:///{restored.aside}/orchestrator.db")
    else:
        aside = Database(house.database.url.rpartition("/")[0] + "/" + restored.aside.rpartition(" ")[2])
    with aside.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 2
    aside.close()


def test_nothing_is_left_of_the_scratch_database(house: House) -> None:
    backup = house.vault.make()
    house.vault.verify(backup)
    assert sorted(path.name for path in house.vault.folder.iterdir()) == [".lock", backup.id]
    assert list((house.folder / "restore").iterdir()) == []
    if not house.database.is_sqlite:
        with house.database.read() as connection:
            names = connection.exec_driver_sql("SELECT datname FROM pg_database WHERE datname LIKE '%%scratch%%'")
            assert names.all() == []


def test_all_that_was_acknowledged_before_the_backup_began_is_in_it_while_others_go_on_writing(house: House) -> None:
    stop, written = threading.Event(), []

    def write() -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            house.add_run(f"run-{number}")
            written.append(number)

    writers = threading.Thread(target=write)
    writers.start()
    try:
        while len(written) < 50:
            time.sleep(0.01)
        before = len(written)
        backup = house.vault.make()
        after = len(written)
    finally:
        stop.set()
        writers.join()
    rows = backup.copies[0].rows
    assert before <= rows.get("runs", rows.get("public.runs", 0)) <= after + 1
    assert house.vault.verify(backup).good


def test_a_restore_is_refused_while_the_database_is_in_use(house: House) -> None:
    backup = house.vault.make()
    house.database.close()
    with pytest.raises(ConflictError, match=r"process 7 on here; stop the system"):
        house.vault.restore(backup, lambda: ("process 7 on here",))
    with somebody_using(house), pytest.raises(ConflictError, match=r"process|session"):
        house.vault.restore(backup, nobody)
    assert house.vault.restore(backup, nobody).backup == backup.id


@contextmanager
def somebody_using(house: House) -> Iterator[None]:
    """A process of its own that has the database open."""
    code = (
        "import sys, time; from orchestration.storage.database import Database\n"
        f"with Database({house.database.url!r}).read() as one:\n"
        "    one.exec_driver_sql('SELECT 1'); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("damage", ["torn", "flipped", "missing", "other", "rows"])
def test_a_damaged_backup_is_found_out_and_never_restored(sqlite_house: House, damage: str) -> None:
    refused_once_damaged(sqlite_house, damage)


def test_a_dump_that_holds_other_rows_than_it_should_is_never_restored(house: House) -> None:
    refused_once_damaged(house, "rows")


def refused_once_damaged(house: House, damage: str) -> None:
    house.add_run("run-1")
    backup = house.vault.make()
    house.add_run("run-2")
    file = house.vault.folder / backup.id / backup.copies[0].file
    data = file.read_bytes()
    if damage == "torn":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        middle = len(data) // 2
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif damage == "missing":
        file.unlink()
    elif damage == "other":
        file.write_bytes(b"another file")
    else:
        manifest = file.with_name("manifest.json")
        document = json.loads(manifest.read_text())
        rows = document["copies"][0]["rows"]
        rows[next(name for name in rows if name.endswith("runs"))] = 7
        manifest.write_text(json.dumps(document))
        backup = house.vault.find("latest")
    assert not house.vault.verify(backup).good
    house.database.close()
    with pytest.raises(BackupError, match="nothing was changed"):
        house.vault.restore(backup, nobody)
    assert house.runs() == {"run-1", "run-2"}


def test_a_damaged_database_gives_no_backup_and_keeps_the_good_ones(sqlite_house: House) -> None:
    house = sqlite_house
    for number in range(500):
        house.add_run(f"run-{number}")
    good = house.vault.make()
    house.database.close()
    with house.file.open("r+b") as file:
        file.seek(house.file.stat().st_size // 2)
        file.write(os.urandom(30_000))
    with pytest.raises(BackupError):
        house.vault.make()
    assert house.kinds()[-1] == "backup.failed"
    assert house.vault.list() == (good,)
    house.vault.restore(good, nobody)
    assert len(house.runs()) == 500


def test_a_database_that_is_gone_can_be_restored(sqlite_house: House) -> None:
    sqlite_house.add_run("run-1")
    backup = sqlite_house.vault.make()
    sqlite_house.database.close()
    for path in sqlite_house.folder.glob("orchestrator.db*"):
        path.unlink()
    sqlite_house.vault.restore(backup, nobody)
    assert sqlite_house.runs() == {"run-1"}


def test_a_restore_that_broke_off_is_begun_once_more(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = sqlite_house
    house.add_run("run-1")
    backup = house.vault.make()
    house.add_run("run-2")
    house.database.close()

    def killed(_from: Path, _to: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            house.vault.restore(backup, nobody)
    assert (house.folder / REPLACING).exists()
    house.vault.restore(backup, nobody)
    assert house.runs() == {"run-1"}
    assert not (house.folder / REPLACING).exists()
    (first, _) = sorted((house.folder / "restore").glob("before-*"), key=lambda path: path.stat().st_ctime)
    with closing(sqlite3.connect(first / "orchestrator.db")) as kept:
        assert kept.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_the_restored_file_belongs_to_whom_the_old_one_belonged(sqlite_house: House) -> None:
    house = sqlite_house
    backup = house.vault.make()
    house.database.close()
    house.file.chmod(0o640)
    house.vault.restore(backup, nobody)
    assert house.file.stat().st_mode & 0o777 == 0o640
    assert {path.stat().st_mode & 0o077 for path in (house.vault.folder / backup.id).iterdir()} == {0}


def test_what_a_killed_process_has_left_behind_is_no_backup_and_goes(sqlite_house: House) -> None:
    left = sqlite_house.vault.folder / ".unfinished-backup-1"
    left.mkdir(parents=True)
    (left / "orchestrator.db.gz").write_bytes(b"half")
    (sqlite_house.vault.folder / "backup-2").mkdir()
    (sqlite_house.vault.folder / "backup-2" / "manifest.json").write_text("{")
    assert sqlite_house.vault.list() == ()
    sqlite_house.vault.make()
    assert not left.exists()
    assert len(sqlite_house.vault.list()) == 1


def test_two_do_not_work_in_one_folder_at_once(sqlite_house: House) -> None:
    second: list[Exception] = []
    databases = SqliteFiles([sqlite_house.file])

    class Meanwhile(SqliteFiles):
        def users(self) -> tuple[str, ...]:
            with pytest.raises(ConflictError, match="another process") as refused:
                sqlite_house.vault.make()
            second.append(refused.value)
            return ("somebody",)

    backup = sqlite_house.vault.make()
    other = BackupStore(
        sqlite_house.vault.folder,
        sqlite_house.folder / "restore",
        Meanwhile([sqlite_house.file]),
        sqlite_house.clock,
        sqlite_house.bus,
    )
    with pytest.raises(ConflictError, match="somebody"):
        other.restore(backup, nobody)
    assert len(second) == 1
    assert databases.users() == ()


def test_old_backups_go_and_the_newest_stays(sqlite_house: House) -> None:
    made = []
    for _ in range(3):
        made.append(sqlite_house.vault.make().id)
        sqlite_house.clock._elapsed += 86_400
    gone = sqlite_house.vault.prune(BackupSettings(daily=1, weekly=0, monthly=0))
    assert set(gone) == set(made[:2])
    assert [one.id for one in sqlite_house.vault.list()] == made[2:]


def test_a_backup_is_found_by_an_end_of_its_name(sqlite_house: House) -> None:
    backup = sqlite_house.vault.make()
    assert sqlite_house.vault.find(backup.id[-5:]) == sqlite_house.vault.find("latest") == backup
    with pytest.raises(NotFoundError, match=backup.id):
        sqlite_house.vault.find("nothing")


def test_a_backup_of_the_other_kind_of_database_is_refused(house: House, tmp_path: Path) -> None:
    backup = house.vault.make()
    manifest = house.vault.folder / backup.id / "manifest.json"
    other = "postgresql" if backup.source == "sqlite" else "sqlite"
    manifest.write_text(manifest.read_text().replace(f'"source": "{backup.source}"', f'"source": "{other}"'))
    (problem,) = house.vault.verify(house.vault.find("latest")).problems
    assert f"got one of {other}" in problem


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a full disk needs the right to mount a small one")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_on_a_full_disk_the_backup_fails_in_words_and_the_earlier_one_stays(
    sqlite_house: House, small_disk: Path
) -> None:
    house = sqlite_house
    vault = BackupStore(
        small_disk / "backups", house.folder / "restore", SqliteFiles([house.file]), house.clock, house.bus
    )
    shutil.copytree(house.vault.folder / house.vault.make().id, small_disk / "backups" / "backup-0")
    with house.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE big (data BLOB)")
        connection.exec_driver_sql("INSERT INTO big VALUES (randomblob(900000))")
    with pytest.raises(BackupError, match=r"expected room.*got [\d,]+ bytes; make room"):
        vault.make()
    assert house.kinds()[-1] == "backup.failed"
    assert [path.name for path in (small_disk / "backups").iterdir() if path.is_dir()] == ["backup-0"]
    house.database.close()
    with closing(sqlite3.connect(house.file)) as connection:
        connection.execute("DROP TABLE big")
        connection.execute("VACUUM")
    house.clock._elapsed += 60
    assert vault.make().id == vault.find("latest").id


def test_without_pg_dump_the_failure_says_what_to_install(
    postgres_url: str, tmp_path: Path, sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.maintenance.backups.postgres import PostgresDatabase

    database = migrated(postgres_url)
    database.close()
    vault = BackupStore(
        tmp_path / "b", tmp_path / "w", PostgresDatabase(postgres_url), sqlite_house.clock, sqlite_house.bus
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match="expected pg_dump on this machine, got none; install"):
        vault.make()
    assert vault.list() == ()


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../orchestrator.db"},
        {"file": "/etc/hostname"},
        {"file": ".."},
        {"file": "link.gz"},
        {"name": "../../../outside.db"},
        {"name": ".."},
    ],
)
def test_a_manifest_from_elsewhere_names_nothing_outside_its_folder(house: House, change: dict[str, str]) -> None:
    house.add_run("run-1")
    backup = house.vault.make()
    manifest = house.vault.folder / backup.id / "manifest.json"
    content = json.loads(manifest.read_text())
    (manifest.parent / "link.gz").symlink_to(manifest.parent / content["copies"][0]["file"])
    content["copies"][0] |= change
    manifest.write_text(json.dumps(content))
    checked = house.vault.verify(house.vault.find(backup.id))
    assert (checked.good, "missing" in checked.problems[0]) == (False, True)
    assert not list(house.vault.folder.parents[1].rglob("outside.db"))


def test_a_backup_that_unpacks_to_more_than_there_is_room_for_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add_run("run-1")
    backup = house.vault.make()
    free = shutil.disk_usage(house.vault.folder).free
    monkeypatch.setattr("orchestration.maintenance.backups.archive._RESERVE", free)
    if house.database.is_sqlite:
        assert "not enough room" in house.vault.verify(backup).problems[0]

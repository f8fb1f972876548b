"""Copies of SQLite files in use: ours and the durable engine's, both as of the same moment."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import psutil

from orchestration.maintenance.backups import archive
from orchestration.maintenance.backups.manifest import BackupError, DatabaseCopy, OpenedBackup
from orchestration.storage.database import REPLACING
from orchestration.storage.sqlite_file import open_file

_WAIT_SECONDS = 30.0
_MAX_FINDINGS = 5
# The files that SQLite keeps beside a database: https://www.sqlite.org/tempfiles.html.
_BESIDE = ("-wal", "-shm", "-journal")


class SqliteFiles:
    """The files of a project, by the names under which they are in a backup; the first is ours."""

    source = "sqlite"

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = {file.name: file for file in files}
        self._ours = files[0]

    def copy(self, folder: Path, scratch: Path) -> tuple[tuple[DatabaseCopy, ...], str]:
        """Copy the files as of one moment. Writers wait only until the moment is fixed, not for the copying."""
        scratch.mkdir(mode=0o700)
        with contextlib.ExitStack() as stack, _backup_errors(scratch):
            # The engine's file does not exist until the engine has been started once.
            present = {name: file for name, file in self._files.items() if file.exists()}
            if self._ours.name not in present:
                raise BackupError(f"expected a database at {self._ours}, got none; start the system first")
            views = self._views(present, stack)
            version = _version(views[self._ours.name])
            if version is None:
                raise BackupError(f"expected the tables of this program in {self._ours}, got others")
            return tuple(_pack(name, view, folder, scratch) for name, view in views.items()), version

    def restore(self, folder: Path, copies: Sequence[DatabaseCopy], scratch: Path) -> OpenedBackup:
        """Decompress into the scratch folder and check every page, index and reference."""
        scratch.mkdir(mode=0o700)
        rows: dict[str, Mapping[str, int]] = {}
        problems: list[str] = []
        version = None
        with _backup_errors(scratch):
            for copy in copies:
                file = scratch / Path(copy.name).name
                archive.unpack(folder / copy.file, file)
                # A copy holds whatever the database holds, so only its owner may read it.
                file.chmod(0o600)
                with _open_copy(file) as connection:
                    findings = _check(connection)
                    problems += [f"{copy.name}: {finding}" for finding in findings]
                    rows[copy.name] = {} if findings else _rows(connection)
                    if copy.name == self._ours.name and not findings:
                        version = _version(connection)
        return OpenedBackup(rows, version, tuple(problems))

    def discard(self, scratch: Path) -> None:
        """Delete the scratch files."""
        for path in sorted(scratch.glob("*")) if scratch.is_dir() else ():
            path.unlink(missing_ok=True)
        if scratch.is_dir():
            scratch.rmdir()

    def swap(self, scratch: Path, aside: Path) -> str:
        """Replace the real files with the scratch ones; the old files are kept in `aside`.

        1. A mark beside the database keeps every process from opening it.
        2. The old files get a second name in `aside`.
        3. The files that belong to an old file are deleted, or SQLite would apply the old log to the new file.
        4. Each new file replaces an old one.
        5. The mark is removed.

        After a crash in between, the same restore is run again; by then the old files are safe in `aside`.
        """
        mark = self._ours.with_name(REPLACING)
        interrupted = mark.exists()
        mark.touch()
        archive.sync_folder(mark.parent)
        if users := self.users():
            # The mark of an interrupted restore stays: half of the files may be replaced, and nobody may open them.
            if not interrupted:
                mark.unlink()
            raise BackupError(f"expected a database that nobody uses, got {', '.join(users)}; stop that first")
        aside.mkdir(parents=True, mode=0o700)
        for file in self._files.values():
            for path in _with_all(file):
                _link(path, aside / path.name)
        archive.sync_folder(aside)
        for name, file in self._files.items():
            _replace(file, scratch / name)
        archive.sync_folder(mark.parent)
        mark.unlink()
        archive.sync_folder(mark.parent)
        return str(aside)

    def users(self) -> tuple[str, ...]:
        """The processes of this machine that have one of the files open, as far as we are allowed to see them."""
        ours = {str(file.resolve()) for file in self._files.values()}
        return tuple(
            f"process {process.pid} ({' '.join(_command(process)[:4])})"
            for process in psutil.process_iter()
            if process.pid != os.getpid() and ours & _open_files(process)
        )

    def _views(self, files: Mapping[str, Path], stack: contextlib.ExitStack) -> dict[str, sqlite3.Connection]:
        """A connection to each file. All see the same moment, since the files are locked for writing meanwhile."""
        views = {}
        with contextlib.ExitStack() as locks:
            for file in files.values():
                lock = locks.enter_context(closing(_connect(file)))
                lock.execute("BEGIN IMMEDIATE")
            for name, file in files.items():
                views[name] = stack.enter_context(closing(_connect(file)))
                views[name].execute("BEGIN")
                # BEGIN alone does nothing yet: SQLite fixes the snapshot of a transaction at its first read.
                views[name].execute("SELECT count(*) FROM sqlite_master").fetchone()
        return views


def _connect(file: Path) -> sqlite3.Connection:
    return open_file(file, _WAIT_SECONDS)


@contextlib.contextmanager
def _open_copy(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a copy that nobody else uses; `immutable` keeps SQLite from creating files beside it."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        yield connection


def _pack(name: str, view: sqlite3.Connection, folder: Path, scratch: Path) -> DatabaseCopy:
    plain, packed = scratch / name, folder / f"{name}.gz"
    with closing(sqlite3.connect(plain, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous=OFF")  # only the compressed file has to survive a crash
        view.backup(target)
    archive.pack(plain, packed)
    plain.unlink()
    return DatabaseCopy(name, packed.name, archive.sha256(packed), packed.stat().st_size, _rows(view))


def _check(connection: sqlite3.Connection) -> list[str]:
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_MAX_FINDINGS})")]
        found = [] if found == ["ok"] else found
        # `integrity_check` does not look at foreign keys (https://www.sqlite.org/pragma.html#pragma_integrity_check).
        lost = connection.execute("PRAGMA foreign_key_check").fetchmany(_MAX_FINDINGS)
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return found + [f"{row[0]} refers to a row of {row[2]} that is not there" for row in lost]


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {name: int(connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0]) for name in tables}  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _version(connection: sqlite3.Connection) -> str | None:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return None if row is None else str(row[0])


def _with_all(file: Path) -> list[Path]:
    """A database file and the files that belong to it, if they exist."""
    return [path for path in (file, *(file.with_name(file.name + end) for end in _BESIDE)) if path.exists()]


def _replace(file: Path, new: Path) -> None:
    """Replace a database file with a new one, or delete it if there is no new one."""
    _copy_owner(file if file.exists() else file.parent, new)
    # The file itself is not deleted: the rename replaces it in one step, so a database of that name always exists.
    for path in _with_all(file)[1 if file.exists() else 0 :]:
        path.unlink()
    if new.exists():
        new.replace(file)
    else:
        file.unlink(missing_ok=True)


def _copy_owner(model: Path, file: Path) -> None:
    """Copy owner and mode: the system may run as another user than the one who restores."""
    if file.exists():
        owner = model.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
        file.chmod(owner.st_mode & 0o666)


def _link(path: Path, other: Path) -> None:
    """A hard link to a file, or a copy if the file system has no links."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copy2(path, other)


def _open_files(process: psutil.Process) -> set[str]:
    try:
        # Processes of other users cannot be inspected; for them there are the leases.
        return {one.path for one in process.open_files()}
    except (psutil.Error, OSError):
        return set()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextlib.contextmanager
def _backup_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # Reported like any other full disk, so that it gets the same advice.
        if "full" in str(error):
            raise OSError(errno.ENOSPC, str(error), str(folder)) from error
        raise BackupError(f"the database could not be read: {error}") from error

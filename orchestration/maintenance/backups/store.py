"""The folder of backups: making, listing, verifying, restoring and deleting them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration.clock import Clock
from orchestration.config.maintenance import BackupSettings
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError
from orchestration.events import EventBus
from orchestration.events.maintenance import BackupCreated, BackupFailed
from orchestration.ids import new_id
from orchestration.maintenance.backups import archive
from orchestration.maintenance.backups.manifest import (
    MANIFEST,
    Backup,
    BackupDatabases,
    BackupError,
    differences,
    from_json,
    to_json,
)
from orchestration.maintenance.backups.retention_policy import kept
from orchestration.storage.database import HEAD

_PREFIX = "backup"
_UNFINISHED = ".unfinished"
_SCRATCH = ".scratch"


@dataclass(frozen=True, slots=True)
class BackupVerification:
    """The result of verifying a backup, and how many seconds that took."""

    backup: str
    problems: tuple[str, ...]
    seconds: float

    @property
    def good(self) -> bool:
        """Whether it could be restored."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """A backup that replaced the database; `aside` is where the old database is now."""

    backup: str
    aside: str
    seconds: float


class BackupStore:
    """Backups in a folder. All of it blocks; one process at a time works in the folder.

    `workplace` is on the disk of the database: there copies are unpacked, and there a restore puts the old one aside.
    """

    def __init__(self, folder: Path, workplace: Path, databases: BackupDatabases, clock: Clock, bus: EventBus) -> None:
        self.folder = folder
        self._workplace = workplace
        self._databases = databases
        self._clock = clock
        self._bus = bus

    def make(self) -> Backup:
        """Make a backup and verify it; only then does it count. Whatever was acknowledged before this call is in it.

        Raises BackupError, and ConflictError if another process uses the folder.
        """
        try:
            with self._locked():
                backup = self._make()
        except ConflictError:
            # Not a failed backup: another process is just making one, or uses one.
            raise
        except (OrchestratorError, OSError) as error:
            failure = BackupError(self._explain(error))
            self._bus.publish(BackupFailed(message=str(failure)))
            raise failure from error
        self._bus.publish(BackupCreated(backup.id, backup.bytes, backup.rows, backup.seconds))
        return backup

    def list(self) -> tuple[Backup, ...]:
        """The verified backups, the newest first; a folder without a valid manifest is ignored."""
        found = []
        # Unfinished backups have another prefix, so half of one is never listed.
        for path in self.folder.glob(f"{_PREFIX}-*/{MANIFEST}"):
            # One damaged manifest must not hide the other backups.
            with contextlib.suppress(BackupError, OSError, UnicodeDecodeError):
                found.append(from_json(path.read_text(encoding="utf-8")))
        return tuple(sorted(found, key=lambda backup: (backup.made_at, backup.id), reverse=True))

    def find(self, text: str) -> Backup:
        """The one backup whose id begins or ends with `text`; `latest` is the newest. Raises NotFoundError."""
        backups = self.list()
        matching = [one for one in backups if text and (one.id.startswith(text) or one.id.endswith(text))]
        if text == "latest":
            matching = list(backups[:1])
        if len(matching) == 1:
            return matching[0]
        known = ", ".join(one.id for one in (matching or backups)[:5]) or "none"
        raise NotFoundError(
            f"expected the name of one backup in {self.folder} ({known}), got '{text}'; see `orchestrator backups list`"
        )

    def verify(self, backup: Backup) -> BackupVerification:
        """Restore a backup into a scratch database, check that, and delete it again."""
        with self._locked():
            started = self._clock.monotonic()
            with self._scratch() as scratch:
                problems = self._check(self.folder / backup.id, backup, scratch)
            return BackupVerification(backup.id, problems, self._clock.monotonic() - started)

    def restore(self, backup: Backup, in_use: Callable[[], tuple[str, ...]]) -> RestoreResult:
        """Put a backup in the place of the database, by way of a scratch database that is checked first; the old one
        is kept aside. `in_use` says who works with the database.

        Raises ConflictError while anybody does, and BackupError when the backup is damaged: all is then as before.
        """
        with self._locked():
            started = self._clock.monotonic()
            self._refuse_users(in_use)
            with self._scratch() as scratch:
                if problems := self._check(self.folder / backup.id, backup, scratch):
                    raise BackupError(
                        f"expected a good backup, got {backup.id}: {'; '.join(problems)}; nothing was changed, "
                        "name an older one"
                    )
                # Checking may have taken long.
                self._refuse_users(in_use)
                name = f"before-{new_id('restore', self._clock.now().timestamp())}"
                aside = self._databases.swap(scratch, self._workplace / name)
            return RestoreResult(backup.id, aside, self._clock.monotonic() - started)

    def prune(self, settings: BackupSettings) -> tuple[str, ...]:
        """Delete the backups that need not be kept; returns their names. Databases that a restore replaced are kept."""
        with self._locked():
            backups = self.list()
            keep = kept(backups, settings)
            old = [backup.id for backup in backups if backup.id not in keep]
            for name in old:
                # The manifest first: after a crash, half a backup must not look like a whole one.
                (self.folder / name / MANIFEST).unlink()
                shutil.rmtree(self.folder / name)
            return tuple(old)

    def _make(self) -> Backup:
        now, started = self._clock.now(), self._clock.monotonic()
        name = new_id(_PREFIX, now.timestamp())
        making = self.folder / f"{_UNFINISHED}-{name}"
        # Only the owner may read a backup: it holds everything that the database holds.
        making.mkdir(mode=0o700)
        try:
            with self._scratch() as scratch:
                copies, version = self._databases.copy(making, scratch)
            for path in making.iterdir():
                path.chmod(0o600)
            backup = Backup(name, now, self._databases.source, version, 0.0, copies)
            with self._scratch() as scratch:
                # Verified before the manifest exists, because the manifest is what makes it count.
                if problems := self._check(making, backup, scratch):
                    raise BackupError(f"the copy is not good: {'; '.join(problems)}")
            backup = Backup(name, now, backup.source, version, self._clock.monotonic() - started, copies)
            self._write(making / MANIFEST, to_json(backup))
            archive.sync_folder(making)
            # The rename is the moment from which the backup exists.
            making.rename(self.folder / name)
            archive.sync_folder(self.folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return backup

    def _check(self, folder: Path, backup: Backup, scratch: Path) -> tuple[str, ...]:
        """What is wrong with a backup, found by restoring it."""
        if backup.source != self._databases.source:
            return (f"expected a backup of {self._databases.source}, got one of {backup.source}",)
        for copy in backup.copies:
            # A manifest can come from elsewhere, and must not name a file outside its folder.
            if not _is_plain(copy.file) or not _is_plain(copy.name) or not _is_own_file(folder / copy.file):
                return (f"{copy.file} is missing",)
            # Before the restore, whose tools would fail in ways that say less.
            if archive.sha256(folder / copy.file) != copy.sha256:
                return (f"{copy.file} is damaged: its checksum is another",)
        try:
            opened = self._databases.restore(folder, backup.copies, scratch)
        except BackupError as error:
            return (str(error),)
        return differences(backup, opened, HEAD)

    def _refuse_users(self, in_use: Callable[[], tuple[str, ...]]) -> None:
        # Leases show our processes on every machine, the database shows any other program on this one.
        if users := (*in_use(), *self._databases.users()):
            listed = ", ".join(dict.fromkeys(users))
            raise ConflictError(f"the database is in use by {listed}; stop the system, then restore again")

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        self._workplace.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = self._workplace / f"{_SCRATCH}-{new_id('copy', self._clock.now().timestamp())}"
        try:
            yield scratch
        finally:
            self._databases.discard(scratch)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the folder, and delete what a killed process has left in it.

        The lock is the kernel's (flock), which ends with its process: a lock file that stays behind locks nothing.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConflictError(
                    f"expected {self.folder} to be free, got another process at work in it; wait until it is done"
                ) from None
            # Nobody can be at work on these: the lock is ours.
            for left in [*self.folder.glob(f"{_UNFINISHED}-*"), *self._workplace.glob(f"{_SCRATCH}-*")]:
                shutil.rmtree(left, ignore_errors=True)
            yield

    def _explain(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = Path(error.filename or self.folder)
            place = next((one for one in (full, *full.parents) if one.is_dir()), self.folder)
            return (
                f"expected room for a backup and its check in {place}, got {shutil.disk_usage(place).free:,} bytes; "
                "make room, or name another folder in maintenance.backups.directory"
            )
        return str(error)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        with path.open("xb") as file:
            file.write(text.encode())
            archive.sync(file)
        path.chmod(0o600)


def _is_plain(name: str) -> bool:
    """Whether a name in a manifest is that of a file, and no way out of its folder."""
    return Path(name).name == name and name not in ("", ".", "..")


def _is_own_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()

"""The manifest of a backup, and its comparison with the restored databases. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from orchestration.errors import OrchestratorError

MANIFEST = "manifest.json"


class BackupError(OrchestratorError):
    """A backup could not be made, opened or restored; the message says why."""


@dataclass(frozen=True, slots=True)
class DatabaseCopy:
    """One database in a backup: the file that holds it, its checksum, and how many rows each table had."""

    name: str
    file: str
    sha256: str
    bytes: int
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Backup:
    """A verified backup. `version` is that of our tables, `source` the kind of database, `seconds` how long making and
    verifying it took."""

    id: str
    made_at: datetime
    source: str
    version: str
    seconds: float
    copies: tuple[DatabaseCopy, ...]

    @property
    def bytes(self) -> int:
        """Its compressed size."""
        return sum(copy.bytes for copy in self.copies)

    @property
    def rows(self) -> int:
        """The number of rows in it."""
        return sum(sum(copy.rows.values()) for copy in self.copies)


@dataclass(frozen=True, slots=True)
class OpenedBackup:
    """The contents of a database that was restored from a backup."""

    rows: Mapping[str, Mapping[str, int]]
    version: str | None
    problems: tuple[str, ...] = ()


class BackupDatabases(Protocol):
    """The databases of a project, of one kind."""

    source: str

    def copy(self, folder: Path, scratch: Path) -> tuple[tuple[DatabaseCopy, ...], str]:
        """Put compressed copies into a folder, all as of the same moment; returns them and the version of our tables.

        Uncompressed copies go into `scratch`. Raises BackupError, OSError.
        """
        ...

    def restore(self, folder: Path, copies: Sequence[DatabaseCopy], scratch: Path) -> OpenedBackup:
        """Restore copies into a scratch database and return its contents. Raises BackupError, OSError."""
        ...

    def discard(self, scratch: Path) -> None:
        """Delete the scratch database, if there is one."""
        ...

    def swap(self, scratch: Path, aside: Path) -> str:
        """Replace the real database with the scratch one; returns where the old one is. Raises BackupError."""
        ...

    def users(self) -> tuple[str, ...]:
        """Descriptions of the processes that have the real database open, as far as they can be seen from outside."""
        ...


def to_json(backup: Backup) -> str:
    """The manifest of a backup."""
    return json.dumps({**asdict(backup), "made_at": backup.made_at.isoformat()}, indent=2) + "\n"


def from_json(text: str) -> Backup:
    """The reverse of `to_json`. Raises BackupError for anything else."""
    try:
        data: dict[str, Any] = json.loads(text)
        copies = tuple(DatabaseCopy(**copy) for copy in data["copies"])
        return Backup(**{**data, "made_at": datetime.fromisoformat(data["made_at"]), "copies": copies})
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"expected the manifest of a backup, got another text ({type(error).__name__})") from error


def differences(backup: Backup, opened: OpenedBackup, newest: str) -> tuple[str, ...]:
    """What is wrong with a backup, by its restored contents. `newest` is the newest version of the tables we know."""
    found = list(opened.problems)
    if opened.version != backup.version:
        found.append(f"expected tables of version {backup.version}, got {opened.version}")
    elif backup.version > newest:
        # Versions are numbers of equal length, so they sort as text.
        found.append(f"expected tables of version {newest} or older, got {backup.version}: install the newer release")
    for copy in backup.copies:
        rows = opened.rows.get(copy.name, {})
        # The tables of both: one that is missing is as wrong as one that was added.
        wrong = [table for table in sorted({*copy.rows, *rows}) if copy.rows.get(table) != rows.get(table)]
        found += [f"{copy.name}: {table} has {rows.get(table)} rows, not {copy.rows.get(table)}" for table in wrong]
    return tuple(found)

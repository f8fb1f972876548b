"""Complete archives of a project: a new backup with everything beside the database that a bare machine needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.app.archive_content import content_of
from orchestration.app.maintenance import vault_of
from orchestration.app.project import ProjectRecords
from orchestration.errors import UsageError
from orchestration.maintenance.backups import complete


@dataclass(frozen=True, slots=True)
class CompleteArchive:
    """An archive that was written: its file and size, the backup in it, and what else."""

    file: str
    bytes: int
    backup: str
    content: tuple[str, ...]


def write_archive(project: ProjectRecords, config_file: Path, file: Path, recipients: Sequence[str]) -> CompleteArchive:
    """Make a backup and write it to an archive. Raises UsageError, BackupError, CompleteArchiveError."""
    keys = recipients or project.configuration.maintenance.backups.recipients
    if not keys:
        raise UsageError("Name a recipient with --recipient, or in maintenance.backups.recipients.")
    vault = vault_of(project)
    backup = vault.make()
    present = content_of(project, config_file.absolute().parent, vault.folder / backup.id)
    size = complete.write(file, present, keys)
    return CompleteArchive(str(file), size, backup.id, tuple(sorted(name for name in present if backup.id not in name)))


def read_archive(file: Path, identity: Path, folder: Path) -> tuple[str, ...]:
    """Unpack an archive into a new folder; returns what is at its top. Raises UsageError, CompleteArchiveError."""
    try:
        text = identity.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{identity} cannot be read: {getattr(error, 'strerror', None) or 'no text'}") from error
    return complete.read(file, folder.absolute(), text)


def write_identity(file: Path) -> str:
    """Write a new private key to a file that only its owner can read; returns the public key. Raises UsageError."""
    secret, public = complete.new_identity()
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as opened:
            opened.write(f"# public key: {public}\n{secret}\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}. Choose another place.") from error
    return public

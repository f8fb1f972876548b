"""Backups: made while everything runs, verified before they count, kept by age, and restored through a verified copy.

A backup is a folder with compressed copies of the databases and a `manifest.json`. The manifest is written last, so
that a folder without one is an unfinished backup.
"""

from orchestration.maintenance.backups.manifest import Backup, BackupError, DatabaseCopy, OpenedBackup
from orchestration.maintenance.backups.store import BackupStore, BackupVerification, RestoreResult

__all__ = [
    "Backup",
    "BackupError",
    "BackupStore",
    "BackupVerification",
    "DatabaseCopy",
    "OpenedBackup",
    "RestoreResult",
]

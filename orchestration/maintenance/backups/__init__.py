"""Backups: made while everything runs, opened again before they count, kept by age, restored by way of a copy.

A backup is a folder with packed copies of the databases and a `manifest.json`, which is written last.
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

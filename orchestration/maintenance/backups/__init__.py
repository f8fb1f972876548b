"""Backups: made while everything runs, opened again before they count, kept by age, restored by way of a copy.

A backup is a folder with packed copies of the databases and a `manifest.json`, which is written last.
"""

from orchestration.maintenance.backups.manifest import Backup, BackupError, Copy, Opened
from orchestration.maintenance.backups.vault import Restored, Vault, Verification

__all__ = ["Backup", "BackupError", "Copy", "Opened", "Restored", "Vault", "Verification"]

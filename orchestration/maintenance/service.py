"""Backups as a service for playbooks and people: check integrity, test a restore, make a backup now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.events import EventBus
from orchestration.events.maintenance import BackupFailed, BackupRestoreTested
from orchestration.maintenance.backups import Backup, BackupStore, BackupVerification
from orchestration.monitoring.collectors.databases import DatabaseWatch


class BackupService:
    """Implements `playbooks.ports.Upkeep`. `audit` returns what is wrong with the chain of the audit log, if there is
    one."""

    def __init__(
        self,
        backups: BackupStore,
        watch: DatabaseWatch,
        clock: Clock,
        bus: EventBus,
        audit: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self._backups = backups
        self._watch = watch
        self._clock = clock
        self._bus = bus
        self._audit = audit

    async def integrity(self) -> Mapping[str, Any]:
        """Check the database and the chain of the audit log: `intact`, `problems`, and `audit_checked`, true where the
        chain was checked too. A database that cannot be checked is not intact."""
        signals = await anyio.to_thread.run_sync(self._watch.check)
        problems = [finding for signal in signals if signal.value != 1.0 for finding in _findings(signal)]
        if not signals:
            # Silence is not health: without a single result nothing was checked.
            problems.append("the database could not be checked")
        if self._audit is not None:
            problems += await anyio.to_thread.run_sync(self._audit)
        return {"intact": not problems, "problems": problems, "audit_checked": self._audit is not None}

    async def rehearse_restore(self) -> Mapping[str, Any]:
        """Restore the newest backup into a scratch database: `restored`, `backup`, `seconds`, `problems`."""
        try:
            verification = await anyio.to_thread.run_sync(self.test_restore)
        except (OrchestratorError, OSError) as error:
            return {"restored": False, "backup": None, "seconds": 0.0, "problems": [str(error)]}
        return {
            "restored": verification.good,
            "backup": verification.backup,
            "seconds": verification.seconds,
            "problems": list(verification.problems),
        }

    async def back_up(self) -> Mapping[str, Any]:
        """Make a backup, open it again and check it: as in `backups`. Raises BackupError and ConflictError."""
        return _described(await anyio.to_thread.run_sync(self._backups.make))

    async def backups(self) -> Sequence[Mapping[str, Any]]:
        """The good backups, newest first: `backup`, `made_at`, `age_seconds`, `bytes`, `rows`, `version`, `seconds`."""
        found = await anyio.to_thread.run_sync(self._backups.list)
        now = self._clock.now()
        return [{**_described(one), "age_seconds": (now - one.made_at).total_seconds()} for one in found]

    def test_restore(self) -> BackupVerification:
        """Restore the newest backup into a scratch database. Blocks. Raises NotFoundError without one."""
        verification = self._backups.verify(self._backups.find("latest"))
        if verification.good:
            self._bus.publish(BackupRestoreTested(backup=verification.backup, seconds=verification.seconds))
        else:
            message = f"{verification.backup} could not be restored: {'; '.join(verification.problems)}"
            # A backup that cannot be restored is no backup, so it raises the same alert as a failed one.
            self._bus.publish(BackupFailed(message=message))
        return verification


def _findings(signal: Signal) -> list[str]:
    found = signal.evidence.get("findings")
    return [str(one) for one in found] if isinstance(found, list) else ["the database is damaged"]


def _described(backup: Backup) -> dict[str, Any]:
    return {
        "backup": backup.id,
        "made_at": backup.made_at.isoformat(),
        "bytes": backup.bytes,
        "rows": backup.rows,
        "version": backup.version,
        "seconds": backup.seconds,
    }

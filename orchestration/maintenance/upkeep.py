"""What playbooks and people ask of maintenance: is all whole, could it be restored, make a backup now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread

from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.events import Bus
from orchestration.maintenance.backups import Backup, Vault, Verification
from orchestration.monitoring.databases import DatabaseWatch


class BackupUpkeep:
    """Implements `playbooks.ports.Upkeep`."""

    def __init__(self, vault: Vault, watch: DatabaseWatch, clock: Clock, bus: Bus) -> None:
        self._vault = vault
        self._watch = watch
        self._clock = clock
        self._bus = bus

    async def integrity(self) -> Mapping[str, Any]:
        """Check the database: `intact`, `problems`, and `checked`, False where it could not be looked at."""
        signals = await anyio.to_thread.run_sync(self._watch.check)
        findings = [str(signal.evidence.get("detail", "")) for signal in signals if signal.value != 1.0]
        intact = bool(signals) and all(signal.value == 1.0 for signal in signals)
        problems = findings or ([] if signals else ["the database could not be looked at"])
        return {"intact": intact, "checked": bool(signals), "problems": problems}

    async def rehearse_restore(self) -> Mapping[str, Any]:
        """Restore the newest backup into a scratch database: `restored`, `backup`, `seconds`, `problems`."""
        try:
            tried = await anyio.to_thread.run_sync(self.rehearse)
        except (OrchestratorError, OSError) as error:
            return {"restored": False, "backup": None, "seconds": 0.0, "problems": [str(error)]}
        return {
            "restored": tried.good,
            "backup": tried.backup,
            "seconds": tried.seconds,
            "problems": list(tried.problems),
        }

    async def back_up(self) -> Mapping[str, Any]:
        """Make a backup, open it again and check it: as in `backups`. Raises BackupError and ConflictError."""
        return _described(await anyio.to_thread.run_sync(self._vault.make))

    async def backups(self) -> Sequence[Mapping[str, Any]]:
        """The good backups, newest first: `backup`, `made_at`, `age_seconds`, `bytes`, `rows`, `version`, `seconds`."""
        found = await anyio.to_thread.run_sync(self._vault.list)
        now = self._clock.now()
        return [{**_described(one), "age_seconds": (now - one.made_at).total_seconds()} for one in found]

    def rehearse(self) -> Verification:
        """A drill: the newest backup, restored into a scratch database. Blocks. Raises NotFoundError without one."""
        tried = self._vault.verify(self._vault.find("latest"))
        if tried.good:
            self._bus.emit("backup.rehearsed", backup=tried.backup, seconds=tried.seconds)
        else:
            message = f"{tried.backup} could not be restored: {'; '.join(tried.problems)}"
            self._bus.emit("backup.failed", message=message)
        return tried


def _described(backup: Backup) -> dict[str, Any]:
    return {
        "backup": backup.id,
        "made_at": backup.made_at.isoformat(),
        "bytes": backup.bytes,
        "rows": backup.rows,
        "version": backup.version,
        "seconds": backup.seconds,
    }

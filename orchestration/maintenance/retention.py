"""Retention: deletes old logs, artifacts, events, heartbeats, resolved alerts, and worktrees, snapshots and steps of
ended runs.

It deletes only what the system has made itself, and nothing of a run that has not ended: such a run can be resumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread

from orchestration.agents.worktrees import Worktrees
from orchestration.config.schema import Configuration
from orchestration.errors import NotFoundError
from orchestration.playbooks.actions.cleanup import is_older, remove, size_of
from orchestration.storage.alerts import Alerts
from orchestration.storage.maintenance import OldRows
from orchestration.storage.runs import Runs
from orchestration.storage.samples import Samples
from orchestration.workflows.engine import Engine

# Each batch is one transaction, which keeps other writers of SQLite waiting.
_BATCH = 2_000
_MEGABYTE = 1_000_000
# The name of a log, then the time of its rotation. Anything else in the folder is not ours.
_ROTATED = re.compile(r"orchestrator\.(?:log|jsonl)\.\d{8}T\d{6}\.\d+Z(?:\.gz)?")


class RetentionJob:
    """Deletes what is older than `monitoring.retentionDays`."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        log_folder: Path,
        artifact_folder: Path,
        runs: Runs,
        old: OldRows,
        alerts: Alerts,
        samples: Samples,
        engine: Engine,
        worktrees: Worktrees,
        run_folders: Sequence[Path] = (),
    ) -> None:
        """In `run_folders`, each entry is called after a run."""
        self._configuration = configuration
        self._log_folder = log_folder
        self._artifact_folder = artifact_folder
        self._runs = runs
        self._old = old
        self._alerts = alerts
        self._samples = samples
        self._engine = engine
        self._worktrees = worktrees
        self._run_folders = run_folders

    async def run(self, now: datetime) -> str:
        """Delete all of it; returns a summary."""
        days = self._configuration().monitoring.retention_days
        before = now - timedelta(days=days)
        files = await anyio.to_thread.run_sync(self._files, now, float(days))
        rows = await anyio.to_thread.run_sync(self._rows, before, now)
        # The engine knows nothing of our runs: `_unfinished` names the flows of those that can still be resumed.
        flows = await self._engine.forget_ended(before, self._unfinished)
        trees = await self._remove_worktrees(now, before)
        return f"older than {days} days: {files}, {rows}, {flows} flows of the engine, {trees} worktrees"

    async def _remove_worktrees(self, now: datetime, before: datetime) -> int:
        """Remove the worktrees of old runs, and a day after its changes were applied, that of any run. The branches are
        the user's."""
        removed = 0
        for run_id in self._worktrees.list():
            record = self._worktrees.record(run_id)
            applied = datetime.fromisoformat(record.applied_at) if record and record.applied_at else None
            if self._ended_before(run_id, before) or (applied and now - applied > timedelta(days=1)):
                await self._worktrees.remove(run_id, with_branch=False)
                removed += 1
        return removed

    def _ended_before(self, run_id: str, before: datetime) -> bool:
        try:
            run = self._runs.get(run_id)
        except NotFoundError:
            return False
        return run.status.ended and run.finished_at is not None and run.finished_at < before

    def _files(self, now: datetime, days: float) -> str:
        logs = _delete([path for path in self._logs() if is_older(path, now, days)])
        ended = [path for path in self._artifacts() if is_older(path, now, days)]
        artifacts = _delete([*ended, *self._beyond_limit(ended)])
        old = [path for path in self._of_runs() if is_older(path, now, days)]
        return f"{logs} of logs, {artifacts} of artifacts, {_delete(old)} of histories"

    def _of_runs(self) -> Iterator[Path]:
        """What is kept of ended runs beside their artifacts: snapshots of their workspaces, notes of their tools."""
        for folder in self._run_folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.is_dir() and not path.is_symlink() and self._has_ended(path.name.removesuffix(".git")):
                    yield path

    def _rows(self, before: datetime, now: datetime) -> str:
        events = 0
        while deleted := self._old.delete_events(before, _BATCH):
            events += deleted
        heartbeats = self._old.delete_heartbeats(before)
        alerts = self._alerts.prune(before)
        self._samples.roll_up(now, now - before)
        return f"{events} events, {heartbeats} heartbeats, {alerts} alerts"

    async def _unfinished(self, flow_ids: Sequence[str]) -> frozenset[str]:
        return await anyio.to_thread.run_sync(self._old.unfinished, flow_ids)

    def _logs(self) -> Iterator[Path]:
        """The rotated logs; the current ones stay."""
        return (path for path in sorted(self._log_folder.glob("orchestrator.*")) if _ROTATED.fullmatch(path.name))

    def _artifacts(self) -> Iterator[Path]:
        """The folders of our runs that have ended. A link is never followed: it may lead out of the folder."""
        for path in sorted(self._artifact_folder.iterdir()) if self._artifact_folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink() and self._has_ended(path.name):
                yield path

    def _beyond_limit(self, deleted: Sequence[Path]) -> list[Path]:
        """The folders to delete for their total size, the oldest runs first; the ids of runs sort by time."""
        limit = self._configuration().maintenance.artifacts_megabytes
        if limit is None:
            return []
        left = [path for path in self._artifacts() if path not in deleted]
        # Everything in the folder takes up room, so everything counts; what may be deleted is chosen from `left`
        # alone.
        excess = (
            sum(size_of(path) for path in self._artifact_folder.iterdir() if path not in deleted) - limit * _MEGABYTE
        )
        chosen = []
        for path in left:
            if excess <= 0:
                break
            excess -= size_of(path)
            chosen.append(path)
        return chosen

    def _has_ended(self, run_id: str) -> bool:
        try:
            return self._runs.get(run_id).status.ended
        except NotFoundError:
            # A folder that is not one of our runs was put there by the user.
            return False


def _delete(paths: Sequence[Path]) -> str:
    size = 0
    for path in paths:
        size += size_of(path)
        remove(path)
    return f"{len(paths)} ({size:,} bytes)"

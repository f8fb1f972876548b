"""Retention: deletes old logs, artifacts, events, contents of calls, heartbeats, resolved alerts, responses that
clients of the gateway may refer to, and worktrees, snapshots and steps of ended runs.

It deletes only what the system has made itself, and nothing of a run that has not ended: such a run can be resumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread

from orchestration.agents.run_workspace import RunWorkspace
from orchestration.agents.workspace import WorkspaceError
from orchestration.agents.worktrees import WorktreeRecord
from orchestration.config.schema import Configuration
from orchestration.errors import NotFoundError
from orchestration.playbooks.actions.cleanup import is_older, remove, size_of
from orchestration.storage.alerts import Alerts
from orchestration.storage.call_records import CallRecords
from orchestration.storage.maintenance import OldRows
from orchestration.storage.runs import Run, Runs
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
        calls: CallRecords,
        alerts: Alerts,
        samples: Samples,
        engine: Engine,
        workspaces: RunWorkspace,
        run_folders: Sequence[Path] = (),
    ) -> None:
        """In `run_folders`, each entry is called after a run."""
        self._configuration = configuration
        self._log_folder = log_folder
        self._artifact_folder = artifact_folder
        self._runs = runs
        self._old = old
        self._calls = calls
        self._alerts = alerts
        self._samples = samples
        self._engine = engine
        self._workspaces = workspaces
        self._worktrees = workspaces.worktrees
        self._run_folders = run_folders

    async def run(self, now: datetime) -> str:
        """Delete all of it; returns a summary."""
        days = self._configuration().monitoring.retention_days
        before = now - timedelta(days=days)
        # Before the histories of old runs are deleted, from which it is known what they have changed.
        trees = await self._remove_worktrees(now, before)
        files = await anyio.to_thread.run_sync(self._files, now, float(days))
        rows = await anyio.to_thread.run_sync(self._rows, before, now)
        # The engine knows nothing of our runs: `_unfinished` names the flows of those that can still be resumed.
        flows = await self._engine.forget_ended(before, self._unfinished)
        return f"older than {days} days: {files}, {rows}, {flows} flows of the engine, {trees}"

    async def _remove_worktrees(self, now: datetime, before: datetime) -> str:
        """Remove the worktrees of old runs, and a day after its changes were applied, that of any run. The branches are
        the user's: whatever a run has changed stays there."""
        removed, unapplied, kept = 0, list[str](), list[str]()
        for run_id in self._worktrees.list():
            record = self._worktrees.record(run_id)
            run = await anyio.to_thread.run_sync(self._ended_run, run_id)
            if record is None or run is None or not (_is_applied(record, now) or _ended_before(run, before)):
                continue
            try:
                changed = await self._workspaces.preserve(run)
            except WorkspaceError as error:
                kept.append(f"{record.top}: {error}")
                continue
            await self._worktrees.remove(run_id, with_branch=False)
            removed += 1
            unapplied += [record.branch] if changed else []
        parts = [f"{removed} worktrees"]
        parts += [f"changes that nobody has applied stay on {', '.join(unapplied)}"] if unapplied else []
        parts += [f"kept: {one}" for one in kept]
        return "; ".join(parts)

    def _ended_run(self, run_id: str) -> Run | None:
        try:
            run = self._runs.get(run_id)
        except NotFoundError:
            return None
        return run if run.status.ended else None

    def _files(self, now: datetime, days: float) -> str:
        logs = _delete([path for path in self._logs() if is_older(path, now, days)])
        ended = [path for path in self._artifacts() if is_older(path, now, days)]
        artifacts = _delete([*ended, *self._beyond_limit(ended)])
        old = [path for path in self._of_runs() if is_older(path, now, days)]
        return f"{logs} of logs, {artifacts} of artifacts, {_delete(old)} of histories"

    def _of_runs(self) -> Iterator[Path]:
        """What is kept of ended runs beside their artifacts: snapshots of their workspaces, notes of their tools."""
        in_use = self._worktrees.list()
        for folder in self._run_folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                run_id = path.name.removesuffix(".git")
                # Without its history, nobody could tell what is changed in a worktree that is still there.
                if path.is_dir() and not path.is_symlink() and self._has_ended(run_id) and run_id not in in_use:
                    yield path

    def _rows(self, before: datetime, now: datetime) -> str:
        events = 0
        while deleted := self._old.delete_events(before, _BATCH):
            events += deleted
        heartbeats = self._old.delete_heartbeats(before)
        calls = self._calls.delete_ended(before)
        alerts = self._alerts.prune(before)
        responses = self._old.delete_responses(before)
        self._samples.roll_up(now, now - before)
        return f"{events} events, {heartbeats} heartbeats, {calls} calls, {alerts} alerts, {responses} responses"

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


def _is_applied(record: WorktreeRecord, now: datetime) -> bool:
    return record.applied_at is not None and now - datetime.fromisoformat(record.applied_at) > timedelta(days=1)


def _ended_before(run: Run, before: datetime) -> bool:
    return run.finished_at is not None and run.finished_at < before


def _delete(paths: Sequence[Path]) -> str:
    size = 0
    for path in paths:
        size += size_of(path)
        remove(path)
    return f"{len(paths)} ({size:,} bytes)"

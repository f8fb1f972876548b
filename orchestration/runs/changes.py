"""What a run has changed: shown, applied to the user's own tree, or discarded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestration.agents.change_transfer import transfer
from orchestration.agents.run_workspace import RunWorkspace
from orchestration.agents.workspace import FileChange
from orchestration.clock import Clock
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError
from orchestration.events import EventBus
from orchestration.events.runs import RunChangesApplied, RunChangesDiscarded
from orchestration.storage.runs import Run
from orchestration.workflows.run_control import RunControl


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that a run has changed, and how: added, changed or deleted."""

    path: str
    how: str


class RunChanges:
    """The changes of runs."""

    def __init__(self, workspace: RunWorkspace, control: RunControl, bus: EventBus, clock: Clock) -> None:
        self._workspace = workspace
        self._control = control
        self._bus = bus
        self._clock = clock

    async def files(self, run: Run) -> tuple[ChangedFile, ...]:
        """The files that a run has changed so far."""
        return tuple(ChangedFile(_printable(one.path), _how(one)) for one in await self._changes(run))

    async def patch(self, run: Run) -> bytes:
        """What a run has changed so far, as a patch that `git apply` takes, without secrets."""
        before, after = await self._trees(run)
        return await self._workspace.whole_patch(run, before, after)

    async def apply(self, run: Run, by: str) -> tuple[str, ...]:
        """Bring the changes of a run into the workspace that it was started on, uncommitted; returns the files written.
        Raises ConflictError, with nothing written, where the workspace has changed at the same places."""
        _require_idle(run)
        if not run.has_worktree:
            raise ConflictError(f"{run.id} has worked in {run.workspace} itself, so its changes are there already")
        record = self._workspace.worktrees.record(run.id)
        if record is None:
            raise ConflictError(f"the changes of {run.id} were discarded; its patch is among the artifacts")
        written = await transfer(Path(record.source), await self._changes(run), self._workspace.workspace(run).blob)
        self._workspace.worktrees.mark_applied(run.id, self._clock.now())
        self._bus.publish(RunChangesApplied(files=len(written)), run_id=run.id, actor=by)
        return written

    async def discard(self, run: Run, by: str) -> None:
        """Remove a run's worktree and branch, or take its changes back out of the workspace. Raises ConflictError, with
        nothing written, where the workspace has changed since at the same places."""
        _require_idle(run)
        if run.has_worktree:
            await self._workspace.worktrees.remove(run.id, with_branch=True)
            count = 0
        else:
            back = [one.reversed() for one in await self._changes(run)]
            count = len(await transfer(Path(run.folder), back, self._workspace.workspace(run).blob))
        self._bus.publish(RunChangesDiscarded(files=count), run_id=run.id, actor=by)

    async def _changes(self, run: Run) -> tuple[FileChange, ...]:
        return await self._workspace.workspace(run).changes(*await self._trees(run))

    async def _trees(self, run: Run) -> tuple[str, str]:
        """The snapshots before the run and after what it has done so far."""
        before, after = await self._control.snapshots(run.id)
        if before is None:
            raise ConflictError(f"{run.id} has not begun, so it has changed nothing yet")
        record = self._workspace.worktrees.record(run.id) if run.has_worktree else None
        if record is not None and record.baseline != before:
            # It was brought up to date since the last snapshot.
            return record.baseline, await self._workspace.snapshot(run)
        there = not run.has_worktree or record is not None
        if there and (after is None or not run.status.ended):
            after = await self._workspace.snapshot(run)
        return before, after or before


def _require_idle(run: Run) -> None:
    if not run.status.ended and run.status is not RunStatus.STOPPED:
        raise ConflictError(f"{run.id} is still at work ({run.status}); wait for its end, or cancel it first")


def _how(change: FileChange) -> str:
    if change.old is None:
        return "added"
    return "deleted" if change.new is None else "changed"


def _printable(path: str) -> str:
    shown = path.encode("utf-8", "replace").decode()
    return "".join(each if each.isprintable() else "?" for each in shown)

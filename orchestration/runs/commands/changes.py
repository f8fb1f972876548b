"""Applying or discarding what a run has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.runs.commands.base import RunCommand, RunHandles, ShownFor
from orchestration.security.principal import Role
from orchestration.storage.runs import Run


@dataclass(frozen=True, slots=True)
class ApplyRun(RunCommand):
    """Bring the changes of a run into the workspace that it was started on."""

    spec: ClassVar = CommandSpec(
        summary="Bring a run's changes from its worktree into your own tree, uncommitted; all of them or none.",
        console="apply",
        role=Role.OPERATOR,
        api=ApiRoute("apply_run", "apply"),
        page=PageForm(
            "apply",
            "run-applied",
            "The changes are in the workspace.",
            title="Apply the changes",
            button="Apply",
            shown=ShownFor.CHANGED,
            order=40,
            explanation="The files that the run has changed are written into the workspace that it was started on, "
            "uncommitted. If that has changed at the same places, nothing is written.",
        ),
    )

    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        """Write the changed files."""
        run = await handles.launcher.get(run_id)
        await handles.changes.apply(run, handles.by)
        return run

    def report(self, run: Run) -> str:
        return f"{run.id}: its changes are in {run.workspace}; `git diff` shows them"


@dataclass(frozen=True, slots=True)
class DiscardRun(RunCommand):
    """Throw away what a run has changed."""

    spec: ClassVar = CommandSpec(
        summary="Discard a run's changes: remove its worktree and branch, or take them back out of the workspace.",
        console="discard",
        role=Role.OPERATOR,
        api=ApiRoute("discard_run", "discard"),
        page=PageForm(
            "discard",
            "run-discarded",
            "The changes are discarded.",
            title="Discard the changes",
            button="Discard",
            shown=ShownFor.CHANGED,
            order=50,
            danger=True,
            explanation="The worktree and the branch of the run are removed. The patch stays among the artifacts.",
        ),
    )

    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        """Remove them."""
        run = await handles.launcher.get(run_id)
        await handles.changes.discard(run, handles.by)
        return run

    def report(self, run: Run) -> str:
        return f"{run.id}: its changes are discarded; its patch stays among the artifacts"

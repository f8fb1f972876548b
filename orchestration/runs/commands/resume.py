"""Resuming a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.runs.commands.base import RunCommand, RunHandles, ShownFor
from orchestration.security.principal import Role
from orchestration.storage.runs import Run


@dataclass(frozen=True, slots=True)
class ResumeRun(RunCommand):
    """Continue a run that was interrupted, has failed or was cancelled."""

    rounds: Annotated[
        Annotated[int, Field(ge=1, le=20)] | None,
        Input(
            "Rounds of corrections to add, if the reviewer still asks for changes; without it, one.",
            label="Rounds of corrections",
            hint="if the reviewer still asks for changes; 1 if empty",
        ),
    ] = None
    keep_base: Annotated[
        bool,
        Input(
            "Leave out what was committed to the workspace since; otherwise the run's worktree gets it.",
            label="Without what was committed to the workspace since",
        ),
    ] = False

    spec: ClassVar = CommandSpec(
        summary="Resume a run from its last committed step.",
        console="resume",
        role=Role.OPERATOR,
        api=ApiRoute("resume_run", "resume"),
        page=PageForm(
            "resume",
            "run-resumed",
            "Run resumed from its last committed step.",
            title="Resume",
            button="Resume",
            shown=ShownFor.RESUMABLE,
            order=20,
            explanation="The run continues from its last committed step; a failed run repeats the step that failed.",
        ),
    )
    followed: ClassVar = True

    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        """Continue it in this process or in a worker."""
        return await handles.launcher.resume(run_id, queue=handles.queue, rounds=self.rounds, keep_base=self.keep_base)

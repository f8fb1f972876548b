"""Forking a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Choices, Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.runs.commands.base import RunCommand, RunHandles, ShownFor
from orchestration.security.principal import Role
from orchestration.storage.runs import Run


@dataclass(frozen=True, slots=True)
class ForkRun(RunCommand):
    """Start a new run that shares everything before one part of this run."""

    number: Annotated[
        Annotated[int, Field(ge=0, le=1_000_000)] | None,
        Input(
            "The number of the part to start from; without one, the last.",
            label="Step",
            option="--from",
            choices=Choices.PARTS,
        ),
    ] = None

    spec: ClassVar = CommandSpec(
        summary="Start a new run that shares everything before a part of this one, in a copy of its workspace.",
        console="fork",
        role=Role.OPERATOR,
        api=ApiRoute("fork_run", "fork", status=201),
        page=PageForm(
            "fork",
            "run-forked",
            "Run forked. This is the new run; it shares everything up to the chosen step.",
            title="Fork from a step",
            button="Fork",
            shown=ShownFor.FORKABLE,
            order=30,
            explanation="The new run shares everything up to the chosen step and works in a copy of the workspace as "
            "it was then.",
        ),
    )
    followed: ClassVar = True

    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        """Start the new run in this process or in a worker."""
        return await handles.launcher.fork(run_id, self.number, queue=handles.queue)

"""Pausing a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import OptionalText
from orchestration.runs.commands.base import RunCommand, RunHandles, ShownFor
from orchestration.security.principal import Role
from orchestration.storage.runs import Run


@dataclass(frozen=True, slots=True)
class PauseRun(RunCommand):
    """Stop a run, but leave it unfinished, to be resumed when the reason is gone."""

    reason: Annotated[OptionalText, Input("The reason; stored with the run.", label="Reason")] = ""

    spec: ClassVar = CommandSpec(
        summary="Pause a run: stop it, but leave it unfinished.",
        console="pause",
        role=Role.OPERATOR,
        api=ApiRoute("pause_run", "pause"),
        page=PageForm(
            "pause",
            "run-paused",
            "Run paused. It can be resumed.",
            title="Pause",
            button="Pause the run",
            shown=ShownFor.UNFINISHED,
            order=15,
            explanation="Running tools are stopped. The run stays unfinished until somebody resumes it.",
        ),
    )

    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        """Stop it, and leave it unfinished."""
        return await handles.control.pause(run_id, self.reason or f"paused by {handles.by}")

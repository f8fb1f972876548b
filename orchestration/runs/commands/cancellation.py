"""Cancelling a run."""

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
class CancelRun(RunCommand):
    """Stop a run, including its running tools. It can be resumed."""

    reason: Annotated[OptionalText, Input("The reason; stored with the run.", label="Reason")] = ""

    spec: ClassVar = CommandSpec(
        summary="Cancel a run, including its running tools. It can be resumed.",
        console="cancel",
        role=Role.OPERATOR,
        api=ApiRoute("cancel_run", "cancel"),
        page=PageForm(
            "cancel",
            "run-cancelled",
            "Run cancelled. It can be resumed.",
            title="Cancel",
            button="Cancel the run",
            shown=ShownFor.UNFINISHED,
            order=10,
            danger=True,
            explanation="Running tools are stopped. Committed steps are kept, so the run can be resumed.",
        ),
    )

    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        """Stop it, and keep its committed steps."""
        return await handles.control.cancel(run_id, self.reason or f"cancelled by {handles.by}")

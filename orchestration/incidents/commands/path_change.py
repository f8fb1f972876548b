"""Moving an incident to another escalation path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Choices, Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.config.escalation import DEFAULT_PATH
from orchestration.domain.request_fields import OptionalText, Text
from orchestration.errors import UsageError
from orchestration.incidents import lifecycle
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import IncidentRefusedError, Refusal, require_open


@dataclass(frozen=True, slots=True)
class ChangeEscalationPath(IncidentCommand):
    """The incident belongs to other people than the routes have chosen."""

    path: Annotated[
        Text,
        Input(
            "The name of an escalation path; default for that of response.escalation.",
            label="Escalation path",
            argument=True,
            choices=Choices.PATHS,
        ),
    ]
    reason: Annotated[OptionalText, Input("Why; kept on the timeline.", label="Reason", hint="if it helps others")] = ""

    spec: ClassVar = CommandSpec(
        summary="Move the incident to another escalation path; unless it is acknowledged, its first level is paged.",
        console="path",
        api=ApiRoute("change_escalation_path", "path"),
        page=PageForm(
            "path",
            "path-changed",
            "The incident has moved to another escalation path.",
            title="Move to another escalation path",
            button="Move",
            shown=ShownWhile.OPEN,
            order=25,
            undo="move it back; a message that was sent stays sent",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Move it, and begin with the first level. Raises UsageError for a path that the settings of its detection do
        not have."""
        incident = change.incident
        require_open(incident, "change the escalation path")
        known = [DEFAULT_PATH, *change.settings.escalation_paths]
        if self.path not in known:
            raise UsageError(f"There is no escalation path '{self.path[:64]}'. There are: {', '.join(known)}.")
        if self.path == incident.escalation_path:
            raise IncidentRefusedError(Refusal.ALREADY_DONE, f"{incident.id} takes the path {self.path} already")
        lifecycle.change_path(change, self.path, self.reason)
        lifecycle.page_path(change)

"""Having the playbook try one of its options, because a person asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import IncidentRefusedError, Refusal, require_open


@dataclass(frozen=True, slots=True)
class TryOption(IncidentCommand):
    """A further response begins, which tries this one option. The request is the approval of its steps; what only the
    configuration may allow stays forbidden. A response that is at work stops."""

    option: Annotated[
        str,
        Field(pattern=r"^[a-z][a-z0-9-]{0,63}$"),
        Input(
            "The option, by its name in the playbook; `orchestrator playbooks show PLAYBOOK` lists them.", argument=True
        ),
    ]

    spec: ClassVar = CommandSpec(
        summary="Have the playbook try one of its options now.",
        console="try",
        api=ApiRoute("try_option", "try"),
        page=PageForm("try", "trying", "The playbook tries this option now. What comes of it appears below."),
    )

    def apply(self, change: IncidentChange) -> None:
        """Ask for a further response. Raises IncidentRefusedError."""
        incident = change.incident
        require_open(incident, "try an option for")
        if not change.actor.human:
            raise IncidentRefusedError(Refusal.ONLY_A_PERSON, f"only a person may ask for it, not {change.actor}")
        change.set(responses=incident.responses + 1, requested_option=self.option, requested_by=change.actor.name)
        change.add_entry("option-requested", option=self.option)

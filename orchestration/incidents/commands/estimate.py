"""Estimating when an incident will be resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Moment
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import require_open


@dataclass(frozen=True, slots=True)
class SetEstimate(IncidentCommand):
    """State when the incident will be resolved; an estimate beyond the target escalates."""

    eta: Annotated[
        Moment | None,
        Input(
            "When it will be resolved; null withdraws the estimate.",
            label="Expected resolution (UTC)",
            argument=True,
            metavar="WHEN",
        ),
    ]

    spec: ClassVar = CommandSpec(
        summary="State when the incident will be resolved: 2h from now, or a time.",
        console="eta",
        api=ApiRoute("set_estimate", "estimate"),
        page=PageForm(
            "estimate",
            "estimate",
            "Estimate saved.",
            title="Set an estimate",
            button="Set estimate",
            shown=ShownWhile.OPEN,
            order=60,
            undo="set another estimate",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Record the estimate; the rules of escalation look at it when the change is finished."""
        require_open(change.incident, "give an estimate for it")
        change.add_entry("estimate-set", eta=self.eta and self.eta.isoformat())
        change.set(eta=self.eta)

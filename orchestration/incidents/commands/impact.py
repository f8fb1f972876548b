"""Describing the impact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Moment, Text
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile


@dataclass(frozen=True, slots=True)
class SetImpact(IncidentCommand):
    """Describe who is affected and how, and since when if that is known."""

    text: Annotated[
        Text,
        Input("Who is affected, and how.", label="Who is affected, and how", rows=2, prefill="impact", argument=True),
    ]
    started_at: Annotated[
        Moment | None, Input("When the impact began: 20min ago, or a time.", option="--since", past=True)
    ] = None

    spec: ClassVar = CommandSpec(
        summary="Describe who is affected and how.",
        console="impact",
        api=ApiRoute("set_impact", "impact"),
        page=PageForm(
            "impact",
            "impact",
            "Impact saved.",
            title="Describe the impact",
            button="Save",
            shown=ShownWhile.ALWAYS,
            order=70,
            undo="describe it anew",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Record the impact; the earlier start stays where no new one is given."""
        # Possible in every status: the extent and the start of an impact are often known only after its end.
        started = {"started_at": self.started_at.isoformat()} if self.started_at else {}
        change.add_entry("impact-set", text=self.text, **started)
        change.set(impact=self.text, impact_started_at=self.started_at or change.incident.impact_started_at)

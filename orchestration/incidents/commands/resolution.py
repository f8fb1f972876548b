"""Resolving an incident."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.request_fields import OptionalText, Text
from orchestration.incidents import duties, followup, resolution
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import IncidentRefusedError, Refusal, ReviewField
from orchestration.notifications.notice import NoticeKind


@dataclass(frozen=True, slots=True)
class Resolve(IncidentCommand):
    """The problem is over: pages stop, everyone who was notified is told, and the follow-up begins."""

    resolution: Annotated[Text, Input("What ended it.", label="Resolution", rows=2)]
    root_cause: Annotated[
        OptionalText, Input("Why it happened, if that is known.", label="Root cause", hint="if known", rows=2)
    ] = ""
    anyway: Annotated[
        bool,
        Input(
            "Resolve although an alert still fires or a duty is open; its duties are dismissed with the resolution "
            "as their reason.",
            label="Resolve although an alert still fires or a duty is open",
        ),
    ] = False

    spec: ClassVar = CommandSpec(
        summary="Resolve the incident, and tell everyone who was notified.",
        console="resolve",
        api=ApiRoute("resolve", "resolve"),
        page=PageForm(
            "resolve",
            "resolved",
            "Incident resolved. Everybody who was notified of it is being informed.",
            title="Resolve",
            button="Resolve",
            shown=ShownWhile.OPEN,
            order=30,
            undo="reopen it",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Stop both clocks and begin the follow-up. Raises IncidentRefusedError while something is not repaired."""
        incident = change.incident
        end = self._end(change)
        change.transition(
            IncidentStatus.RESOLVED, resolution=self.resolution, root_cause=self.root_cause, ended_by=end.value
        )
        if change.actor.human:
            duties.dismiss_all(change, self.resolution)
        change.set(
            # The impact has ended at the latest now.
            mitigated_at=incident.mitigated_at or change.now,
            # Only where somebody watched whether it held: no verification is made up.
            verified_at=incident.proven_at or (change.now if incident.status is IncidentStatus.VERIFYING else None),
            resolved_at=change.now,
            ended_by=end,
            asserted_by="",
            clock=replace(incident.clock, resolved_at=change.now),
            watched_until=change.now + timedelta(days=change.settings.recurrence_days),
        )
        change.write_review({ReviewField.RESOLUTION: self.resolution, ReviewField.ROOT_CAUSE: self.root_cause})
        change.stop_timers()
        followup.begin(change)
        if followup.is_announced(incident):
            # With the round: an incident that is reopened ends a second time, and people have to learn of that end,
            # too.
            change.notify_everyone(NoticeKind.RESOLVED, f"resolved-{incident.paging_rounds}")

    def _end(self, change: IncidentChange) -> IncidentEnd:
        """On what the resolution rests. Raises IncidentRefusedError where it may not happen."""
        incident, human = change.incident, change.actor.human
        found = [each for each in resolution.blockers(incident) if each.kind.binds_people or not human]
        # In a status that allows no resolution the transition refuses, with the moves that are possible.
        if found and incident.status.is_open and not (human and self.anyway):
            raise IncidentRefusedError(
                Refusal.NOT_REPAIRED,
                f"{incident.id} is not repaired: {'; '.join(each.summary for each in found)}. "
                f'To end a duty: `orchestrator incidents duty-done {incident.id} NUMBER --evidence "…"`. '
                f"To resolve it all the same, say so with `anyway` (on the console --anyway)",
            )
        return resolution.end_of(incident, human=human)

"""Attempts to stop the impact, and how they turn out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.duty import DutyRequest
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.request_fields import Text
from orchestration.incidents import duties, resolution
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import ReviewField, require_open
from orchestration.notifications.notice import NoticeKind


@dataclass(frozen=True, slots=True)
class BeginMitigation(IncidentCommand):
    """Record what is being tried; it is shown to everyone who is notified from now on."""

    text: Annotated[Text, Input("What is being tried.", label="What you are trying", argument=True)]

    spec: ClassVar = CommandSpec(
        summary="Record what is being tried.",
        console="mitigate",
        api=ApiRoute("mitigate", "mitigate"),
        page=PageForm(
            "mitigate",
            "mitigating",
            "Mitigation recorded on the timeline.",
            title="Record a mitigation",
            button="Record",
            shown=ShownWhile.OPEN,
            order=40,
            undo="none: it stays recorded; add a note that corrects it",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Move to mitigating, or record a further attempt."""
        if change.incident.status is IncidentStatus.MITIGATING:
            change.add_entry("mitigation-attempted", action=self.text)
        else:
            change.transition(IncidentStatus.MITIGATING, action=self.text)
        change.set(attempted_actions=(*change.incident.attempted_actions, self.text))
        # Automation that acts has begun to work on the incident, also where its acknowledgement never arrived.
        if not change.actor.human and change.incident.automation_at is None:
            change.set(automation_at=change.now)


@dataclass(frozen=True, slots=True)
class RecordFailedMitigation(IncidentCommand):
    """An attempt did not help; after several of them the next level is notified. `attempt` is what was tried, in the
    words in which its beginning was recorded."""

    reason: str
    attempt: str = ""

    spec: ClassVar = CommandSpec(summary="Record that an attempt did not help.")

    def apply(self, change: IncidentChange) -> None:
        """Go back to mitigating and count the failure."""
        if change.incident.status is not IncidentStatus.MITIGATING:
            change.transition(IncidentStatus.MITIGATING, reason=self.reason)
        # The impact goes on after all, so what was proved is void, and the moment at which it ended is unknown again.
        change.set(failed_attempts=change.incident.failed_attempts + 1, mitigated_at=None, proof="", proven_at=None)
        if self.attempt:
            change.set(failed_actions=(*change.incident.failed_actions, self.attempt))
        change.add_entry("mitigation-failed", reason=self.reason, failed=change.incident.failed_attempts)


@dataclass(frozen=True, slots=True)
class MarkMitigated(IncidentCommand):
    """The impact has stopped by a workaround; the problem itself is still to be repaired."""

    how: Annotated[Text, Input("The workaround that carries the load.", label="Workaround", argument=True)]

    spec: ClassVar = CommandSpec(
        summary="Record that a workaround has stopped the impact; the incident stays open.",
        console="mitigated",
        api=ApiRoute("mark_mitigated", "mitigated"),
        page=PageForm(
            "mitigated",
            "mitigated",
            "Workaround recorded. The incident stays open until the problem itself is repaired.",
            title="Record a workaround",
            button="Record",
            shown=ShownWhile.OPEN,
            order=45,
            undo="record a mitigation: the incident is being worked on again",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Stop the clock of the impact."""
        change.transition(IncidentStatus.MITIGATED, how=self.how)
        change.set(proof=self.how, mitigated_at=change.incident.mitigated_at or change.now)


@dataclass(frozen=True, slots=True)
class BeginVerification(IncidentCommand):
    """Watch whether the mitigation holds."""

    how: str = ""

    spec: ClassVar = CommandSpec(summary="Begin to verify that the mitigation holds.")

    def apply(self, change: IncidentChange) -> None:
        """Move to verifying."""
        change.transition(IncidentStatus.VERIFYING, how=self.how)
        change.set(mitigated_at=change.incident.mitigated_at or change.now)


@dataclass(frozen=True, slots=True)
class RecordAction(IncidentCommand):
    """Automation has changed something for this incident: earlier observations do not show what came of it."""

    duties: tuple[DutyRequest, ...] = ()

    spec: ClassVar = CommandSpec(summary="Record that something was changed for the incident.")

    def apply(self, change: IncidentChange) -> None:
        """Note the time, and open the duties that the action leaves behind. Raises IncidentRefusedError."""
        require_open(change.incident, "record an action for")
        change.set(acted_at=change.now)
        duties.open_all(change, self.duties)


@dataclass(frozen=True, slots=True)
class RecordProof(IncidentCommand):
    """A playbook has verified its effect. That resolves the incident if nothing else is left to be repaired; until then
    it is mitigated. An effect that is not `complete` stops the impact only: what was reported is still to be repaired.
    """

    proof: str
    root_cause: str = ""
    complete: bool = True

    spec: ClassVar = CommandSpec(summary="Record that a playbook has verified its effect.")

    def apply(self, change: IncidentChange) -> None:
        """Resolve the incident, or say what it still waits for."""
        require_open(change.incident, "record a proof for")
        change.set(
            proof=self.proof,
            proven_at=change.now if self.complete else change.incident.proven_at,
            mitigated_at=change.incident.mitigated_at or change.now,
            review={ReviewField.ROOT_CAUSE: self.root_cause, **change.incident.review}
            if self.root_cause
            else change.incident.review,
        )
        left = resolution.blockers(change.incident)
        if not left and self.complete:
            Resolve(self.proof, self.root_cause).apply(change)
            return
        if change.incident.status is IncidentStatus.MITIGATED:
            return
        waits = [each.summary for each in left] or ["what was reported is to be seen repaired"]
        change.transition(IncidentStatus.MITIGATED, how=self.proof, waits_for=waits)
        reason = f"mitigated, not resolved: {self.proof}. It waits for this: {'; '.join(waits)}"
        change.notify_everyone(NoticeKind.UPDATE, f"mitigated-{change.incident.version}", reason)

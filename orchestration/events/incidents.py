"""Events of incidents: one for each entry of an incident's timeline, and those of the journal and of upkeep."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class IncidentEvent(EventPayload):
    """An entry was added to an incident's timeline; `detail` is the entry's data.

    Only `incident` and `detail` are given when the incident's own record cannot be read.
    """

    incident: str
    scenario: str | None = None
    severity: str | None = None
    status: str | None = None
    # Only True leaves an event out of the metrics: an incident whose record cannot be read counts as a real one.
    drill: bool | None = None
    # Untyped, because what an entry holds depends on its kind, and entries of earlier releases are announced as they
    # are.
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentDetected(IncidentEvent):
    """An incident was opened, or left its maintenance window."""

    kind: ClassVar[str] = "incident.detected"
    template: ClassVar[str] = "{incident} detected"


@dataclass(frozen=True, slots=True)
class IncidentAcknowledged(IncidentEvent):
    """A person took responsibility."""

    kind: ClassVar[str] = "incident.acknowledged"
    template: ClassVar[str] = "{incident} acknowledged"


@dataclass(frozen=True, slots=True)
class IncidentAcknowledgedAutomatically(IncidentEvent):
    """Automation began to respond; people are still paged."""

    # A kind of its own, because automation's acknowledgement stops neither pages nor the response target.
    kind: ClassVar[str] = "incident.acknowledged_automatically"
    template: ClassVar[str] = "{incident} acknowledged automatically"


@dataclass(frozen=True, slots=True)
class IncidentMitigating(IncidentEvent):
    """Mitigation began."""

    kind: ClassVar[str] = "incident.mitigating"
    template: ClassVar[str] = "{incident} is being mitigated"


@dataclass(frozen=True, slots=True)
class IncidentVerifying(IncidentEvent):
    """The effect of the mitigation is verified."""

    kind: ClassVar[str] = "incident.verifying"
    template: ClassVar[str] = "{incident} is being verified"


@dataclass(frozen=True, slots=True)
class IncidentResolved(IncidentEvent):
    """The incident was resolved."""

    kind: ClassVar[str] = "incident.resolved"
    template: ClassVar[str] = "{incident} resolved"


@dataclass(frozen=True, slots=True)
class IncidentReopened(IncidentEvent):
    """The same problem came back."""

    kind: ClassVar[str] = "incident.reopened"
    template: ClassVar[str] = "{incident} reopened"


@dataclass(frozen=True, slots=True)
class IncidentInReview(IncidentEvent):
    """The review is due."""

    kind: ClassVar[str] = "incident.in_review"
    template: ClassVar[str] = "{incident} is in review"


@dataclass(frozen=True, slots=True)
class IncidentClosed(IncidentEvent):
    """The incident and its review are closed."""

    kind: ClassVar[str] = "incident.closed"
    template: ClassVar[str] = "{incident} closed"


@dataclass(frozen=True, slots=True)
class IncidentCancelled(IncidentEvent):
    """The incident was a false alarm."""

    kind: ClassVar[str] = "incident.cancelled"
    template: ClassVar[str] = "{incident} cancelled"
    level: ClassVar[int] = logging.WARNING


@dataclass(frozen=True, slots=True)
class IncidentMerged(IncidentEvent):
    """The incident was merged into another."""

    kind: ClassVar[str] = "incident.merged"
    template: ClassVar[str] = "{incident} merged into another"


@dataclass(frozen=True, slots=True)
class IncidentSuppressed(IncidentEvent):
    """Nobody is notified until a maintenance window ends."""

    kind: ClassVar[str] = "incident.suppressed"
    template: ClassVar[str] = "{incident} suppressed"


@dataclass(frozen=True, slots=True)
class IncidentJoined(IncidentEvent):
    """Another report joined the incident."""

    kind: ClassVar[str] = "incident.joined"
    template: ClassVar[str] = "{incident} has another report"


@dataclass(frozen=True, slots=True)
class IncidentCauseAdded(IncidentEvent):
    """Something else has broken as well: the incident has another cause, which is answered by itself."""

    kind: ClassVar[str] = "incident.cause_added"
    template: ClassVar[str] = "{incident} has another cause"


@dataclass(frozen=True, slots=True)
class IncidentOptionRequested(IncidentEvent):
    """A person has asked for an option of the playbook."""

    kind: ClassVar[str] = "incident.option_requested"
    template: ClassVar[str] = "an option of the playbook was requested for {incident}"


@dataclass(frozen=True, slots=True)
class IncidentReturned(IncidentEvent):
    """The problem was seen again before it was gone for long enough."""

    kind: ClassVar[str] = "incident.returned"
    template: ClassVar[str] = "{incident} returned before it was stable"


@dataclass(frozen=True, slots=True)
class IncidentCleared(IncidentEvent):
    """The problem is no longer seen."""

    # Not the end yet: the incident is resolved only when the problem has stayed away for the stability window.
    kind: ClassVar[str] = "incident.cleared"
    template: ClassVar[str] = "{incident} cleared"


@dataclass(frozen=True, slots=True)
class IncidentSeverityRaised(IncidentEvent):
    """The severity was raised."""

    kind: ClassVar[str] = "incident.severity_raised"
    template: ClassVar[str] = "{incident} raised to {severity}"


@dataclass(frozen=True, slots=True)
class IncidentSeverityLowered(IncidentEvent):
    """The severity was lowered."""

    kind: ClassVar[str] = "incident.severity_lowered"
    template: ClassVar[str] = "{incident} lowered to {severity}"


@dataclass(frozen=True, slots=True)
class IncidentBecameReal(IncidentEvent):
    """The problem of a drill was seen outside the drill."""

    # Drills are left out of statistics and metrics; from here on the incident counts.
    kind: ClassVar[str] = "incident.became_real"
    template: ClassVar[str] = "{incident} is no longer only a drill"


@dataclass(frozen=True, slots=True)
class IncidentEscalated(IncidentEvent):
    """A higher level was notified."""

    kind: ClassVar[str] = "incident.escalated"
    template: ClassVar[str] = "{incident} escalated"


@dataclass(frozen=True, slots=True)
class IncidentPaged(IncidentEvent):
    """A level was paged."""

    kind: ClassVar[str] = "incident.paged"
    template: ClassVar[str] = "{incident} paged"


@dataclass(frozen=True, slots=True)
class IncidentPathChanged(IncidentEvent):
    """A person moved it to another escalation path."""

    kind: ClassVar[str] = "incident.path_changed"
    template: ClassVar[str] = "{incident} takes another escalation path"


@dataclass(frozen=True, slots=True)
class IncidentReminded(IncidentEvent):
    """Someone was reminded of what is due."""

    kind: ClassVar[str] = "incident.reminded"
    template: ClassVar[str] = "{incident} reminded someone"


@dataclass(frozen=True, slots=True)
class IncidentUpdateSent(IncidentEvent):
    """A regular status update was sent."""

    kind: ClassVar[str] = "incident.update_sent"
    template: ClassVar[str] = "{incident} sent a status update"


@dataclass(frozen=True, slots=True)
class IncidentResponseAtRisk(IncidentEvent):
    """The response target is about to be missed."""

    kind: ClassVar[str] = "incident.response_at_risk"
    template: ClassVar[str] = "{incident} is about to miss its response target"


@dataclass(frozen=True, slots=True)
class IncidentResponseBreached(IncidentEvent):
    """The response target was missed."""

    # Not an error in the log: errors count towards an alert, and an incident must not cause another one.
    kind: ClassVar[str] = "incident.response_breached"
    template: ClassVar[str] = "{incident} missed its response target"


@dataclass(frozen=True, slots=True)
class IncidentResolutionAtRisk(IncidentEvent):
    """The resolution target is about to be missed."""

    kind: ClassVar[str] = "incident.resolution_at_risk"
    template: ClassVar[str] = "{incident} is about to miss its resolution target"


@dataclass(frozen=True, slots=True)
class IncidentResolutionBreached(IncidentEvent):
    """The resolution target was missed."""

    kind: ClassVar[str] = "incident.resolution_breached"
    template: ClassVar[str] = "{incident} missed its resolution target"


@dataclass(frozen=True, slots=True)
class IncidentApprovalRequested(IncidentEvent):
    """A playbook asks a person to approve a step."""

    kind: ClassVar[str] = "incident.approval_requested"
    template: ClassVar[str] = "{incident} waits for approval"


@dataclass(frozen=True, slots=True)
class IncidentMitigationAttempted(IncidentEvent):
    """A mitigation was attempted."""

    kind: ClassVar[str] = "incident.mitigation_attempted"
    template: ClassVar[str] = "{incident} has a mitigation under way"


@dataclass(frozen=True, slots=True)
class IncidentMitigationFailed(IncidentEvent):
    """A mitigation did not help."""

    kind: ClassVar[str] = "incident.mitigation_failed"
    template: ClassVar[str] = "{incident} was not helped by a mitigation"


@dataclass(frozen=True, slots=True)
class IncidentMitigated(IncidentEvent):
    """The impact has ended."""

    kind: ClassVar[str] = "incident.mitigated"
    template: ClassVar[str] = "{incident} mitigated"


@dataclass(frozen=True, slots=True)
class IncidentPagingHeld(IncidentEvent):
    """All that fires of it is silenced, so that nobody is paged for it any more."""

    kind: ClassVar[str] = "incident.paging_held"
    template: ClassVar[str] = "{incident} is silenced"


@dataclass(frozen=True, slots=True)
class IncidentPagingResumed(IncidentEvent):
    """Its silence is over and it still fires, so that paging goes on."""

    kind: ClassVar[str] = "incident.paging_resumed"
    template: ClassVar[str] = "{incident} is not silenced any more"


@dataclass(frozen=True, slots=True)
class IncidentSnoozed(IncidentEvent):
    """A person holds its pages for a while."""

    kind: ClassVar[str] = "incident.snoozed"
    template: ClassVar[str] = "{incident} is snoozed"


@dataclass(frozen=True, slots=True)
class IncidentWoken(IncidentEvent):
    """Its snooze has ended, by its time, by a person, or because it got worse."""

    kind: ClassVar[str] = "incident.woken"
    template: ClassVar[str] = "{incident} is not snoozed any more"


@dataclass(frozen=True, slots=True)
class IncidentAcknowledgementLapsed(IncidentEvent):
    """Whoever had acknowledged it recorded nothing, also after a reminder, so that it is paged anew."""

    kind: ClassVar[str] = "incident.acknowledgement_lapsed"
    template: ClassVar[str] = "{incident} was forgotten, and is paged anew"


@dataclass(frozen=True, slots=True)
class IncidentFlapping(IncidentEvent):
    """One of its alerts comes and goes."""

    kind: ClassVar[str] = "incident.flapping"
    template: ClassVar[str] = "{incident} comes and goes"


@dataclass(frozen=True, slots=True)
class IncidentSilent(IncidentEvent):
    """Nothing more is heard of one of its alerts, which does not show that the problem is gone."""

    kind: ClassVar[str] = "incident.silent"
    template: ClassVar[str] = "nothing more is heard of {incident}"


@dataclass(frozen=True, slots=True)
class IncidentDutyOpened(IncidentEvent):
    """Something has to be done before the incident may be resolved."""

    kind: ClassVar[str] = "incident.duty_opened"
    template: ClassVar[str] = "{incident} has a new duty"


@dataclass(frozen=True, slots=True)
class IncidentDutyDone(IncidentEvent):
    """A duty was done."""

    kind: ClassVar[str] = "incident.duty_done"
    template: ClassVar[str] = "{incident} has a duty less"


@dataclass(frozen=True, slots=True)
class IncidentDutyDismissed(IncidentEvent):
    """A duty was dismissed."""

    kind: ClassVar[str] = "incident.duty_dismissed"
    template: ClassVar[str] = "{incident} has a duty dismissed"


@dataclass(frozen=True, slots=True)
class IncidentNoted(IncidentEvent):
    """A note was added."""

    kind: ClassVar[str] = "incident.noted"
    template: ClassVar[str] = "{incident} has a new note"


@dataclass(frozen=True, slots=True)
class IncidentAssigned(IncidentEvent):
    """The incident was assigned."""

    kind: ClassVar[str] = "incident.assigned"
    template: ClassVar[str] = "{incident} assigned"


@dataclass(frozen=True, slots=True)
class IncidentImpactSet(IncidentEvent):
    """The impact was described."""

    kind: ClassVar[str] = "incident.impact_set"
    template: ClassVar[str] = "{incident} has its impact described"


@dataclass(frozen=True, slots=True)
class IncidentEstimateSet(IncidentEvent):
    """The estimated time of resolution was set."""

    kind: ClassVar[str] = "incident.estimate_set"
    template: ClassVar[str] = "{incident} has a new estimate"


@dataclass(frozen=True, slots=True)
class IncidentMergedIn(IncidentEvent):
    """Another incident was merged into this one."""

    kind: ClassVar[str] = "incident.took_in"
    template: ClassVar[str] = "{incident} had another incident merged into it"


@dataclass(frozen=True, slots=True)
class IncidentActionItemAdded(IncidentEvent):
    """An action item was added."""

    kind: ClassVar[str] = "incident.action_added"
    template: ClassVar[str] = "{incident} has a new action item"


@dataclass(frozen=True, slots=True)
class IncidentActionItemCompleted(IncidentEvent):
    """An action item was completed."""

    kind: ClassVar[str] = "incident.action_done"
    template: ClassVar[str] = "{incident} completed an action item"


@dataclass(frozen=True, slots=True)
class IncidentReviewWritten(IncidentEvent):
    """A part of the review was written."""

    kind: ClassVar[str] = "incident.review_written"
    template: ClassVar[str] = "{incident} has a new part of its review"


@dataclass(frozen=True, slots=True)
class IncidentWatchEnded(IncidentEvent):
    """The watch for a recurrence ended."""

    kind: ClassVar[str] = "incident.watch_ended"
    template: ClassVar[str] = "{incident} is no longer watched for a recurrence"


@dataclass(frozen=True, slots=True)
class IncidentRecurred(IncidentEvent):
    """The problem recurred as a later incident."""

    kind: ClassVar[str] = "incident.recurred"
    template: ClassVar[str] = "{incident} recurred"


@dataclass(frozen=True, slots=True)
class IncidentJournalled(EventPayload):
    """Without the database, a report was written to a file of its own, to be replayed."""

    # The log is the only sink that is sure to have it now; the timeline follows when the database is back.
    kind: ClassVar[str] = "incident.journalled"
    template: ClassVar[str] = "{incident} ({severity}) was written to the journal: the database does not answer"

    incident: str
    severity: str
    ground: str


@dataclass(frozen=True, slots=True)
class IncidentReplayed(EventPayload):
    """The journal was replayed into the database; what cannot be read was put aside."""

    kind: ClassVar[str] = "incident.replayed"
    template: ClassVar[str] = "{records} reports replayed from the journal, {aside} put aside"

    records: int
    aside: int


@dataclass(frozen=True, slots=True)
class IncidentTickFailed(EventPayload):
    """What is due of the incidents could not be done; it is tried again."""

    # Of all incidents and not of one, hence the plural; it is published once until a round succeeds again.
    kind: ClassVar[str] = "incidents.tick_failed"
    template: ClassVar[str] = "incidents could not be attended to: {error}"

    # The class of the error only: a database's message may quote the statement with its parameters.
    error: str


@dataclass(frozen=True, slots=True)
class IncidentStatisticsFailed(EventPayload):
    """The figures of the incidents could not be updated; it is tried again."""

    kind: ClassVar[str] = "incidents.sum_up_failed"
    template: ClassVar[str] = "the figures of incidents could not be updated: {error}"

    error: str

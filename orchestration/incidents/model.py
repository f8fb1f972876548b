"""An incident, its statuses, and the transitions between them. Pure: a transition returns a new incident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

from orchestration.config.escalation import DEFAULT_PATH
from orchestration.domain.duty import Duty
from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.incident_status import MOVES, IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import ConflictError
from orchestration.incidents.condition import ConditionStatus, IncidentCondition
from orchestration.incidents.estimates import PastDurations
from orchestration.incidents.report import OWN_SOURCE, BlastRadius, Facts, IncidentLink, Storm, TroubleReport
from orchestration.incidents.severity import SeverityReason
from orchestration.incidents.sla import SlaClock


class Refusal(StrEnum):
    """Why a command was refused; also the field in the log and the label of the metric."""

    SAME_STATE = "same-state"
    ILLEGAL_MOVE = "illegal-move"
    NOT_OPEN = "not-open"
    ALREADY_DONE = "already-done"
    ONLY_A_PERSON = "only-a-person"
    INTO_ITSELF = "into-itself"
    ANOTHER_IS_OPEN = "another-is-open"
    REVIEW_INCOMPLETE = "review-incomplete"
    NO_SUCH_ACTION = "no-such-action"
    NO_SUCH_DUTY = "no-such-duty"
    NOT_REPAIRED = "not-repaired"


class IncidentRefusedError(ConflictError):
    """The state of the incident does not allow this."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. What automation does is kept apart from what people do, everywhere."""

    name: str
    human: bool = False

    def __str__(self) -> str:
        # No name of a user may contain a colon, so that nobody can pass for automation in a timeline.
        return self.name if self.human else f"automation:{self.name}"


def person(name: str) -> Actor:
    """A person, by the name that the timeline shows."""
    return Actor(name, human=True)


def reporter_of(report: TroubleReport) -> Actor:
    """Who reports: the person on whose word the report rests, else the system that has observed the problem."""
    return person(report.asserted_by) if report.asserted_by else Actor(report.source)


def describe_actor(actor: str) -> str:
    """Who did something, from its text, such that nobody takes a person's name for anything else: `local` is a name,
    and so is `UTC`."""
    return actor if not actor or ":" in actor else f"user {actor}"


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of an incident's timeline. `kind` is a stable name; `data` holds JSON values only."""

    at: datetime
    kind: str
    actor: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActionItem:
    """A measure against recurrence, with an owner and a date."""

    number: int
    text: str
    owner: str
    due: date
    done_at: datetime | None = None
    done_by: str = ""


class ReviewField(StrEnum):
    """What people write down after an incident. The first two are due within a day, the others within a week."""

    RESOLUTION = "resolution"
    WORKAROUNDS = "workarounds"
    ROOT_CAUSE = "root-cause"
    FACTORS = "contributing-factors"
    HELPED = "what-helped"
    PLAYBOOK = "playbook-change"
    SHARED = "shared-with"
    SECURITY = "security"


@dataclass(frozen=True, slots=True)
class Incident:
    """A declared response to one problem.

    `policy` names the response settings, and `playbook` the playbook, that were in force at detection; both apply for
    the incident's whole life. `assessed_severity` is the worst severity that the facts have justified so far: when a
    person lowers the severity, it stays lowered until the facts become worse than that. `clock` is the current SLA
    record. `notified` lists the contacts who have been notified and `paged_at` when each was last paged.
    `paging_rounds` counts how often paging started over, `levels_paged` the levels of the `escalation_path` paged in
    the current round.
    `escalated` and `warned` hold the rules and warnings that have fired and must not fire again. Fields that end in
    `_due` or `_until` hold the time of the next scheduled step.

    `conditions` are the groups of alerts that it is about, by their key. `duties` have to end before it may. `proof` is
    what a playbook has verified, and `proven_at` when; an action or a return of the problem after that makes it void.
    `acted_at` is when automation last changed anything for it. `asserted_by` is the person who has declared or
    reopened it: no alert can then speak for its end. `responses` counts the further responses since its detection or
    reopening. `active_response` is the playbook run that is at work, since `responding_since`.
    `causes` are what was found broken in it so far; each is answered by itself. `silences` are those that cover its
    alerts, by the key of the condition; `flapping` are the keys of those that come and go. `answered_links` are the
    links in messages that were used. `attended_at` is when a person last did anything about it, `reminded_at` when
    whoever has it was last reminded, `lapsed_at` when an acknowledgement that was forgotten ceased to count.
    `likely_causes` is the playbook's last ranking, the likeliest first. `failed_actions` are those of the attempted
    actions that did not help, once for each time. `requested_option` is the option of the playbook that the person
    `requested_by` has asked for, in the present response.
    `storm` says how many alerts share it, if it is a storm, and `storm_told` of how many people were last notified.
    """

    # The names under which these fields are stored and published (API, `--json`). Clients and existing databases
    # depend on them, and two versions may share a database during an upgrade, so a renamed field keeps its first name.
    public_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "severity_reason": "ground",
            "blast_radius": "blast",
            "notified": "told",
            "attempted_actions": "tried",
            "assessed_severity": "judged",
            "paging_rounds": "alarms",
            "levels_paged": "paged",
        }
    )
    # Read by pydantic, which serialises incidents for the database and for the API.
    __pydantic_config__: ClassVar = {"alias_generator": lambda name: Incident.public_names.get(name, name)}

    id: str
    key: str
    scenario: Scenario
    severity: Severity
    assessed_severity: Severity
    # A rise is measured from here, because a person may lower the severity in between.
    first_severity: Severity
    severity_reason: SeverityReason
    title: str
    summary: str
    detected_at: datetime
    last_seen_at: datetime
    changed_at: datetime
    clock: SlaClock
    policy: str
    playbook: str
    status: IncidentStatus = IncidentStatus.DETECTED
    facts: Facts = field(default_factory=Facts)
    blast_radius: BlastRadius = field(default_factory=BlastRadius)
    source: str = ""
    drill: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    fingerprints: tuple[str, ...] = ()
    links: tuple[IncidentLink, ...] = ()
    impact_started_at: datetime | None = None
    impact: str = ""
    # What a person expects; `expected` is what past incidents of the kind suggest.
    eta: datetime | None = None
    expected: PastDurations | None = None
    assignee: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    # Apart from `acknowledged_at`, because the response target counts people only.
    automation_at: datetime | None = None
    mitigated_at: datetime | None = None
    verified_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    cleared_at: datetime | None = None
    suppressed_until: datetime | None = None
    page_due: datetime | None = None
    update_due: datetime | None = None
    record_due: datetime | None = None
    review_due: datetime | None = None
    watched_until: datetime | None = None
    paging_rounds: int = 0
    levels_paged: int = 0
    escalation_path: str = DEFAULT_PATH
    updates: int = 0
    failed_attempts: int = 0
    attempted_actions: tuple[str, ...] = ()
    failed_actions: tuple[str, ...] = ()
    likely_causes: tuple[str, ...] = ()
    requested_option: str = ""
    requested_by: str = ""
    escalated: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    notified: tuple[str, ...] = ()
    paged_at: Mapping[str, datetime] = field(default_factory=dict)
    review: Mapping[ReviewField, str] = field(default_factory=dict)
    # Who wrote each part: a person, or automation, whose text may be replaced by a newer one.
    review_authors: Mapping[ReviewField, str] = field(default_factory=dict)
    actions: tuple[ActionItem, ...] = ()
    recurrence_of: str | None = None
    recurred_as: str | None = None
    merged_into: str | None = None
    conditions: Mapping[str, IncidentCondition] = field(default_factory=dict)
    duties: tuple[Duty, ...] = ()
    acted_at: datetime | None = None
    proof: str = ""
    proven_at: datetime | None = None
    asserted_by: str = ""
    ended_by: IncidentEnd | None = None
    responses: int = 0
    active_response: str = ""
    responding_since: datetime | None = None
    causes: tuple[str, ...] = ()
    silences: Mapping[str, str] = field(default_factory=dict)
    flapping: tuple[str, ...] = ()
    answered_links: tuple[str, ...] = ()
    attended_at: datetime | None = None
    reminded_at: datetime | None = None
    lapsed_at: datetime | None = None
    snoozed_until: datetime | None = None
    snoozed_by: str = ""
    storm: Storm | None = None
    storm_told: int = 0
    version: int = 0

    @property
    def acknowledged(self) -> bool:
        """Whether a person has acknowledged it since it was detected or last reopened, and that counts still."""
        return self.clock.acknowledged_at is not None and self.lapsed_at is None

    @property
    def external(self) -> bool:
        """Whether another system reported it. No playbook may then change anything here unless the configuration
        names the action."""
        return self.source != OWN_SOURCE

    @property
    def known_conditions(self) -> Mapping[str, IncidentCondition]:
        """The conditions; one that was written before they were kept has that of its own key."""
        if self.conditions or self.asserted_by:
            return self.conditions
        if self.cleared_at is not None:
            return {self.key: IncidentCondition(ConditionStatus.CLEARED, self.cleared_at)}
        return {self.key: IncidentCondition(ConditionStatus.FIRING, self.detected_at)}

    @property
    def is_silenced(self) -> bool:
        """Whether every alert of it that fires is silenced, so that nobody is paged for it."""
        firing = [key for key, each in self.known_conditions.items() if each.fires]
        return bool(firing) and all(key in self.silences for key in firing)

    @property
    def pages_are_held(self) -> bool:
        """Whether nobody is to be paged for it: it is silenced, or a person has snoozed it."""
        return self.snoozed_until is not None or self.is_silenced

    @property
    def open_duties(self) -> tuple[Duty, ...]:
        """The duties that keep it open."""
        return tuple(duty for duty in self.duties if duty.is_open)

    @property
    def proven(self) -> bool:
        """Whether a playbook has verified its effect, and nothing was done since."""
        return self.proven_at is not None and (self.acted_at is None or self.acted_at <= self.proven_at)

    @property
    def written_by_people(self) -> frozenset[ReviewField]:
        """The parts of the review that a person has written; those from before authors were recorded are taken for
        such."""
        authors = {field: self.review_authors.get(field, "") for field in self.review}
        return frozenset(field for field, author in authors.items() if ":" not in author)

    @property
    def counted(self) -> bool:
        """Whether the statistics count it: no drill, no false alarm, no duplicate."""
        # Nobody is asked to respond to a suppressed incident; it counts from its next status on.
        aside = (IncidentStatus.CANCELLED, IncidentStatus.MERGED, IncidentStatus.SUPPRESSED)
        return not self.drill and self.status not in aside


def move(
    incident: Incident, to: IncidentStatus, at: datetime, actor: Actor, **data: Any
) -> tuple[Incident, TimelineEntry]:
    """Move to another status, after which the entry is named. Raises IncidentRefusedError."""
    if to is incident.status:
        raise IncidentRefusedError(Refusal.SAME_STATE, f"{incident.id} is {to} already; nothing was changed")
    allowed = MOVES[incident.status]
    if to not in allowed:
        ways = ", ".join(sorted(allowed)) or "nothing else"
        raise IncidentRefusedError(
            Refusal.ILLEGAL_MOVE,
            f"expected an incident that can become {to}, got {incident.id}, which is {incident.status} "
            f"and can become {ways}",
        )
    moved = replace(incident, status=to, changed_at=not_before(incident, at))
    return moved, TimelineEntry(moved.changed_at, to.value, str(actor), {"from": incident.status.value, **data})


def not_before(incident: Incident, at: datetime) -> datetime:
    """`at`, or the incident's last change if the machine's clock was set back: a timeline never runs backwards."""
    return max(at, incident.changed_at)


def require_open(incident: Incident, wanted: str) -> None:
    """Raises IncidentRefusedError unless the incident is open."""
    if not incident.status.is_open:
        raise IncidentRefusedError(
            Refusal.NOT_OPEN,
            f"expected an open incident to {wanted}, got {incident.id}, which is {incident.status}",
        )

"""What a person needs to know of an incident first, in the order in which they need it. Pure.

The page of an incident, `incidents show` (here and against a server) and every message are made from this value, so
that none of them says anything else than the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.incidents.impact import affected
from orchestration.incidents.model import Incident, TimelineEntry
from orchestration.incidents.next_commands import next_commands
from orchestration.incidents.review import span

_UNKNOWN = "Unknown"
_INVESTIGATING = (IncidentStatus.DETECTED, IncidentStatus.ACKNOWLEDGED, IncidentStatus.REOPENED)


class AttemptOutcome(StrEnum):
    """What came of an attempt to stop the impact."""

    HELPED = "helped"
    DID_NOT_HELP = "did not help"
    UNDER_WAY = "under way"
    BEING_VERIFIED = "it is being checked whether it helps"
    UNKNOWN = "what came of it was not recorded"


@dataclass(frozen=True, slots=True)
class MitigationAttempt:
    """Something that was tried."""

    action: str
    outcome: AttemptOutcome

    @property
    def sentence(self) -> str:
        """What was tried and what came of it."""
        return f"{self.action}: {self.outcome.value}"


@dataclass(frozen=True, slots=True)
class AffectedKind:
    """Some of what the problem affects: `kind` is the word for one of them. `count` may be more than the names that are
    known."""

    kind: str
    names: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class BriefingLine:
    """One fact with its label, as the console and the messages show it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Briefing:
    """What broke, since when, how bad and why; who is affected; the likely causes; what was tried; what to do now.

    `since` is when the impact began, or else the detection; `start_is_known` tells them apart. The causes are as the
    playbook has ranked them, the likeliest first. `commands` are for a console.
    """

    incident: str
    severity: Severity
    status: str
    title: str
    drill: bool
    summary: str
    since: datetime
    start_is_known: bool
    source: str
    severity_reason: str
    impact: str
    affected: tuple[AffectedKind, ...]
    causes: tuple[str, ...]
    attempts: tuple[MitigationAttempt, ...]
    commands: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The incident in one line."""
        return f"{self.severity} {self.status}: {self.title}" + (" [drill]" if self.drill else "")

    @property
    def origin(self) -> str:
        """Who has noticed it, and what its start is worth."""
        return f"detected by {self.source}" + ("" if self.start_is_known else "; when it began is not known")

    def lines(self, now: datetime) -> Iterator[BriefingLine]:
        """The facts in their order."""
        ago = " ".join(span(now - self.since).split()[:2])
        yield BriefingLine("what", self.summary)
        yield BriefingLine("since", f"{self.since:%Y-%m-%d %H:%M:%S} UTC ({ago} ago); {self.origin}")
        yield BriefingLine(f"why {self.severity}", self.severity_reason)
        yield BriefingLine("impact", self.impact or _UNKNOWN)
        if self.causes:
            yield BriefingLine("likely", "; ".join(self.causes))
        yield from (BriefingLine("tried", attempt.sentence) for attempt in self.attempts)
        if not self.attempts:
            yield BriefingLine("tried", "nothing yet")
        yield from (BriefingLine("now", command) for command in self.commands)


def briefing(incident: Incident, entries: Sequence[TimelineEntry] = ()) -> Briefing:
    """The briefing on an incident. `entries` are needed only for one that an earlier release has recorded, which kept
    the likely causes on the timeline alone."""
    return Briefing(
        incident=incident.id,
        severity=incident.severity,
        status=status_word(incident),
        title=incident.title,
        drill=incident.drill,
        summary=incident.summary or _UNKNOWN,
        since=incident.impact_started_at or incident.detected_at,
        start_is_known=incident.impact_started_at is not None,
        source=incident.source,
        severity_reason=incident.severity_reason.value.replace("-", " "),
        impact=incident.impact or affected(incident),
        affected=tuple(_affected(incident)),
        causes=incident.likely_causes or _ranked(entries),
        attempts=tuple(_attempts(incident)),
        commands=next_commands(incident),
    )


def status_word(incident: Incident) -> str:
    """The status as the playbook's templates write it, in capitals."""
    return "INVESTIGATING" if incident.status in _INVESTIGATING else incident.status.value.upper()


def _affected(incident: Incident) -> Iterator[AffectedKind]:
    radius, facts = incident.blast_radius, incident.facts
    known = (
        ("run", radius.runs, facts.runs_affected),
        ("agent", radius.agents, facts.agents_failing),
        ("provider", radius.providers, facts.providers_down),
        ("host", radius.hosts, 0),
    )
    return (AffectedKind(kind, names, max(count, len(names))) for kind, names, count in known if names or count)


def _attempts(incident: Incident) -> Iterator[MitigationAttempt]:
    """Each attempt with its outcome: of an action that was tried twice, the failures are those that came first."""
    failed, seen = Counter(incident.failed_actions), Counter[str]()
    for number, action in enumerate(incident.attempted_actions, start=1):
        seen[action] += 1
        if seen[action] <= failed[action]:
            yield MitigationAttempt(action, AttemptOutcome.DID_NOT_HELP)
        else:
            yield MitigationAttempt(
                action, _outcome(incident, action, is_last=number == len(incident.attempted_actions))
            )


def _outcome(incident: Incident, action: str, *, is_last: bool) -> AttemptOutcome:
    if incident.proof == action:
        return AttemptOutcome.HELPED
    if is_last and incident.status is IncidentStatus.MITIGATING:
        return AttemptOutcome.UNDER_WAY
    if is_last and incident.status is IncidentStatus.VERIFYING:
        return AttemptOutcome.BEING_VERIFIED
    return AttemptOutcome.UNKNOWN


def _ranked(entries: Sequence[TimelineEntry]) -> tuple[str, ...]:
    """The likely causes of the timeline: the last ranking, and none from before the incident had another cause."""
    ranked: tuple[str, ...] = ()
    for entry in entries:
        if "likely_causes" in entry.data:
            ranked = tuple(entry.data["likely_causes"])
        elif entry.kind == "cause-added":
            ranked = ()
    return ranked

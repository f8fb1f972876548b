"""The one rule by which an incident may be resolved. Pure.

Every way of resolving asks it: the timer once the alerts have cleared, a playbook that has verified its effect, and a
person. It is not enough that time has passed, that nothing is heard of the problem any more, that a workaround carries
the load or a file is in quarantine, or that a check of something else succeeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.config.response import ResponseSettings
from orchestration.domain.duty import Duty, DutyOwner, DutyState
from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.condition import ConditionStatus
from orchestration.incidents.model import Incident

# One whose flow has failed for good never reports its end.
_LONGEST_RESPONSE = timedelta(hours=2)


class BlockerKind(StrEnum):
    """Why an incident may not be resolved yet."""

    FIRING = "firing"
    DUTY = "duty"
    SILENT = "silent"
    ASSERTED = "asserted"

    @property
    def binds_people(self) -> bool:
        """Whether a person, too, has to say expressly that the incident ends although this is so.

        For the other two the word of a person is exactly what is missing.
        """
        return self in (BlockerKind.FIRING, BlockerKind.DUTY)


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason, with a sentence for people that says what would end it."""

    kind: BlockerKind
    summary: str


def blockers(incident: Incident) -> tuple[Blocker, ...]:
    """Everything that keeps the incident from being resolved by automation."""
    return (*_firing(incident), *_duties(incident), *_silent(incident), *_asserted(incident))


def due_at(incident: Incident, settings: ResponseSettings) -> datetime | None:
    """When automation may resolve the incident; None while anything is in the way.

    A proof by the playbook ends it at once, since it has watched already whether the effect lasts. Without one the
    alerts must have stayed clear for a while, counted from the last action. A response that has changed something is
    waited for: what follows its actions, such as the check of the data after an intrusion, would otherwise be left out.
    """
    if blockers(incident):
        return None
    moments = (*(each.since for each in incident.known_conditions.values()), *(_ended(incident.duties)))
    since = max((*moments, incident.acted_at or incident.detected_at))
    if incident.responding_since is not None and incident.acted_at is not None:
        since = max(since, incident.responding_since + _LONGEST_RESPONSE)
    return since if incident.proven else since + timedelta(seconds=settings.stability_seconds)


def settles_by_itself(incident: Incident) -> bool:
    """Whether a mitigated incident needs nobody: all that is left ends once the problem does, by the automation that
    keeps its workaround in force."""
    found = blockers(incident)
    people = any(duty.owner is not DutyOwner.AUTOMATION for duty in incident.open_duties)
    others = any(each.kind in (BlockerKind.SILENT, BlockerKind.ASSERTED) for each in found)
    mitigated = incident.status is IncidentStatus.MITIGATED
    return mitigated and bool(incident.open_duties) and not people and not others


def end_of(incident: Incident, *, human: bool) -> IncidentEnd:
    """On what a resolution rests that happens now."""
    found = blockers(incident)
    dismissed = any(duty.state is DutyState.DISMISSED for duty in incident.duties)
    if any(each.kind.binds_people for each in found):
        return IncidentEnd.WORKAROUND
    return IncidentEnd.PERSON if human or found or dismissed else IncidentEnd.PROOF


def _firing(incident: Incident) -> Iterator[Blocker]:
    for key, condition in incident.known_conditions.items():
        if condition.fires:
            yield Blocker(BlockerKind.FIRING, f"its alert still fires ({key})")


def _duties(incident: Incident) -> Iterator[Blocker]:
    for duty in incident.open_duties:
        yield Blocker(BlockerKind.DUTY, f"duty {duty.number} is open: {duty.summary}")


def _silent(incident: Incident) -> Iterator[Blocker]:
    # Where a duty stood for the repair, or the playbook has proved its effect since, nothing more is to be observed.
    if incident.proven or (incident.duties and not incident.open_duties):
        return
    for key, condition in incident.known_conditions.items():
        if condition.status is ConditionStatus.SILENT:
            yield Blocker(
                BlockerKind.SILENT,
                f"nothing was observed since {condition.since:%Y-%m-%d %H:%M} UTC that shows it gone ({key})",
            )


def _asserted(incident: Incident) -> Iterator[Blocker]:
    if incident.asserted_by:
        yield Blocker(
            BlockerKind.ASSERTED, f"it rests on the word of {incident.asserted_by}, and a person has to end it"
        )


def _ended(duties: tuple[Duty, ...]) -> Iterator[datetime]:
    return (duty.ended_at for duty in duties if duty.ended_at is not None)

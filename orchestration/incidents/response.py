"""What people and automation do while an incident is open. Pure. Each raises RefusedError where it cannot be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.incidents import intake
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.model import ActionItem, Incident, IncidentRefusedError, Refusal, require_open
from orchestration.incidents.severity import SeverityReason
from orchestration.notifications.notice import NoticeKind

_UNATTENDED = (IncidentStatus.DETECTED, IncidentStatus.REOPENED)


def acknowledge(turn: IncidentChange) -> None:
    """Take it. A person's stops every page at once; automation's only says that it has begun."""
    incident = turn.incident
    require_open(incident, "acknowledge")
    if not turn.actor.human:
        _acknowledge_automatically(turn)
        return
    if incident.acknowledged:
        raise IncidentRefusedError(
            Refusal.ALREADY_DONE, f"{incident.id} was acknowledged by {incident.acknowledged_by} already"
        )
    seconds = round((turn.now - incident.clock.started_at).total_seconds(), 1)
    if incident.status in _UNATTENDED:
        turn.transition(IncidentStatus.ACKNOWLEDGED, after_seconds=seconds)
    else:
        turn.add_entry("acknowledged", after_seconds=seconds)
    turn.set(
        clock=replace(incident.clock, acknowledged_at=turn.now),
        acknowledged_at=incident.acknowledged_at or turn.now,
        acknowledged_by=turn.actor.name,
        page_due=None,
    )
    turn.stops_pages = True
    turn.notify_everyone(NoticeKind.ACKNOWLEDGED, f"ack-{incident.paging_rounds}", f"{turn.actor.name} has it")


def note(turn: IncidentChange, text: str) -> None:
    """Write something on the timeline; possible at any time, after the end too."""
    turn.add_entry("noted", text=text)


def assign(turn: IncidentChange, contact: str) -> None:
    """Put it into somebody's hands."""
    require_open(turn.incident, "assign")
    if turn.incident.assignee == contact:
        raise IncidentRefusedError(Refusal.ALREADY_DONE, f"{turn.incident.id} is in the hands of {contact} already")
    turn.add_entry("assigned", **{"from": turn.incident.assignee, "to": contact})
    turn.set(assignee=contact)


def set_impact(turn: IncidentChange, text: str, started_at: datetime | None = None) -> None:
    """Say whom it hurts and how, and since when if that is known."""
    turn.add_entry("impact-set", text=text, **({"started_at": started_at.isoformat()} if started_at else {}))
    turn.set(impact=text, impact_started_at=started_at or turn.incident.impact_started_at)


def set_eta(turn: IncidentChange, eta: datetime | None) -> None:
    """Say when it will be resolved; one that is beyond the target escalates."""
    require_open(turn.incident, "give an estimate for it")
    turn.add_entry("estimate-set", eta=eta and eta.isoformat())
    turn.set(eta=eta)


def raise_severity(turn: IncidentChange, severity: Severity, reason: str) -> None:
    """Make it worse; anybody may."""
    if not severity.worse_than(turn.incident.severity):
        raise IncidentRefusedError(
            Refusal.NOT_WORSE,
            f"expected a severity worse than {turn.incident.severity}, got {severity}; a person can lower it",
        )
    intake.change_severity(turn, severity, SeverityReason.DECLARED, reason)


def lower_severity(turn: IncidentChange, severity: Severity, reason: str) -> None:
    """Make it less bad; only a person may."""
    if not turn.actor.human:
        raise IncidentRefusedError(Refusal.ONLY_A_PERSON, f"expected a person to lower a severity, got {turn.actor}")
    if not turn.incident.severity.worse_than(severity):
        raise IncidentRefusedError(
            Refusal.NOT_BETTER, f"expected a severity less bad than {turn.incident.severity}, got {severity}"
        )
    intake.change_severity(turn, severity, SeverityReason.DECLARED, reason)


def escalate(turn: IncidentChange, level: int, reason: str, *, unless_taken: bool = False) -> None:
    """Tell a level by hand; `unless_taken` only notes it where somebody has acknowledged the incident."""
    require_open(turn.incident, "escalate")
    if unless_taken and turn.incident.acknowledged:
        note(turn, f"level {level} was not paged, since {turn.incident.acknowledged_by} has it: {reason}")
        return
    turn.escalate(level, reason, f"hand{level}-{turn.incident.version}")


def request_approval(turn: IncidentChange, question: str) -> None:
    """Ask for approval: everybody who has been told, and whoever answers for the incident's first level."""
    require_open(turn.incident, "ask about")
    turn.add_entry("approval-requested", question=question)
    contacts = turn.contacts_for([*turn.incident.notified, "level-1"])
    turn.notify(NoticeKind.APPROVAL, contacts, f"approval-{turn.incident.version}", question, lasting=True)


def begin_mitigation(turn: IncidentChange, action: str) -> None:
    """Do something about it. `action` says what; it is kept for everybody who is told from now on.

    Automation that acts has thereby taken it, if it had not said so before.
    """
    if turn.incident.status is IncidentStatus.MITIGATING:
        turn.add_entry("mitigation-attempted", action=action)
    else:
        turn.transition(IncidentStatus.MITIGATING, action=action)
    turn.set(attempted_actions=(*turn.incident.attempted_actions, action))
    if not turn.actor.human and turn.incident.automation_at is None:
        turn.set(automation_at=turn.now)


def mitigation_failed(turn: IncidentChange, reason: str) -> None:
    """It did not help. After so many times, the next level is told."""
    if turn.incident.status is not IncidentStatus.MITIGATING:
        turn.transition(IncidentStatus.MITIGATING, reason=reason)
    turn.set(failed_attempts=turn.incident.failed_attempts + 1, mitigated_at=None)
    turn.add_entry("mitigation-failed", reason=reason, failed=turn.incident.failed_attempts)


def mitigated(turn: IncidentChange, how: str) -> None:
    """The impact has stopped; whether for good is still to be seen."""
    require_open(turn.incident, "call it mitigated")
    if turn.incident.mitigated_at is not None:
        raise IncidentRefusedError(Refusal.ALREADY_DONE, f"{turn.incident.id} is mitigated already")
    turn.set(mitigated_at=turn.now)
    turn.add_entry("mitigated", how=how)


def begin_verification(turn: IncidentChange, how: str) -> None:
    """Watch whether the mitigation holds."""
    turn.transition(IncidentStatus.VERIFYING, how=how)
    turn.set(mitigated_at=turn.incident.mitigated_at or turn.now)


def merge_in(turn: IncidentChange, other: Incident) -> None:
    """Take another incident in: what it touches, and whom it has told."""
    incident = turn.incident
    if incident.id == other.id:
        raise IncidentRefusedError(
            Refusal.INTO_ITSELF, f"expected another incident to merge into, got {incident.id} itself"
        )
    require_open(incident, "merge into")
    turn.set(
        blast_radius=intake.widened(incident.blast_radius, other.blast_radius),
        fingerprints=tuple(dict.fromkeys([*incident.fingerprints, *other.fingerprints])),
        notified=tuple(dict.fromkeys([*incident.notified, *other.notified])),
        drill=incident.drill and other.drill,
    )
    turn.add_entry("took-in", incident=other.id, title=other.title)
    if other.severity.worse_than(turn.incident.severity):
        turn.set(assessed_severity=min(other.assessed_severity, incident.assessed_severity))
        intake.change_severity(turn, other.severity, other.severity_reason, f"{other.id} was merged into it")


def add_action(turn: IncidentChange, text: str, owner: str, due: date) -> None:
    """Something to be done so that it does not happen again."""
    item = ActionItem(len(turn.incident.actions) + 1, text, owner, due)
    turn.set(actions=(*turn.incident.actions, item))
    turn.add_entry("action-added", number=item.number, text=text, owner=owner, due=due.isoformat())


def finish_action(turn: IncidentChange, number: int) -> None:
    """It is done."""
    found = next((item for item in turn.incident.actions if item.number == number), None)
    if found is None:
        numbers = ", ".join(str(item.number) for item in turn.incident.actions) or "none"
        raise IncidentRefusedError(Refusal.NO_SUCH_ACTION, f"expected an action item ({numbers}), got {number}")
    if found.done_at is not None:
        raise IncidentRefusedError(Refusal.ALREADY_DONE, f"action item {number} was done by {found.done_by} already")
    done = replace(found, done_at=turn.now, done_by=turn.actor.name)
    turn.set(actions=tuple(done if item is found else item for item in turn.incident.actions))
    turn.add_entry("action-done", number=number, text=found.text)


def _acknowledge_automatically(turn: IncidentChange) -> None:
    if turn.incident.automation_at is not None:
        raise IncidentRefusedError(Refusal.ALREADY_DONE, f"automation has taken {turn.incident.id} already")
    turn.set(automation_at=turn.now)
    turn.add_entry("acknowledged-automatically")

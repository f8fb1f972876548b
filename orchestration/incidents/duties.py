"""How the duties of an incident are opened, done, dismissed, and taken over in a merge. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from orchestration.domain.duty import Duty, DutyRequest, DutyState
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.model import Incident, IncidentRefusedError, Refusal


def open_all(change: IncidentChange, requests: Iterable[DutyRequest]) -> None:
    """Open a duty for each request, unless one of its kind and subject is open already."""
    for request in requests:
        duties = change.incident.duties
        if any(duty.is_open and (duty.kind, duty.subject) == (request.kind, request.subject) for duty in duties):
            continue
        # Duties are never removed, so the next number is always free.
        duty = Duty(
            len(duties) + 1,
            request.kind,
            request.subject,
            request.summary,
            request.owner,
            change.now,
            str(change.actor),
        )
        change.set(duties=(*duties, duty))
        change.add_entry(
            "duty-opened", number=duty.number, duty=duty.kind.value, subject=duty.subject, text=duty.summary
        )


def end(change: IncidentChange, number: int, state: DutyState, evidence: str) -> None:
    """End a duty: done, with the proof, or dismissed, with the reason. Raises IncidentRefusedError."""
    found = _open(change.incident, number)
    ended = replace(found, state=state, ended_at=change.now, ended_by=str(change.actor), evidence=evidence)
    change.set(duties=tuple(ended if duty is found else duty for duty in change.incident.duties))
    kind = "duty-done" if state is DutyState.DONE else "duty-dismissed"
    change.add_entry(
        kind, number=number, duty=found.kind.value, subject=found.subject, text=found.summary, evidence=evidence
    )


def dismiss_all(change: IncidentChange, reason: str) -> None:
    """Dismiss every open duty."""
    for duty in change.incident.open_duties:
        end(change, duty.number, DutyState.DISMISSED, reason)


def take_over(change: IncidentChange, other: Incident) -> None:
    """The open duties of another incident become duties of this one."""
    open_all(change, (DutyRequest(duty.kind, duty.subject, duty.summary, duty.owner) for duty in other.open_duties))


def _open(incident: Incident, number: int) -> Duty:
    found = next((duty for duty in incident.duties if duty.number == number), None)
    if found is None:
        numbers = ", ".join(str(duty.number) for duty in incident.duties) or "none"
        raise IncidentRefusedError(Refusal.NO_SUCH_DUTY, f"{incident.id} has no duty {number}; it has these: {numbers}")
    if not found.is_open:
        raise IncidentRefusedError(
            Refusal.ALREADY_DONE, f"duty {number} of {incident.id} was {found.state.value} by {found.ended_by} already"
        )
    return found

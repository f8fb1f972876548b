"""The message at a change of shift: who hands over to whom, and what is open. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.config.response import OnCallRotation, ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.oncall import OnCallShift, on_call, usable_roster
from orchestration.incidents.review import span
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.storage.incidents.table import IncidentRow

# A hand-over of the last hours is still news to whoever has taken over while the system was down; an older one is not.
_NEWS = timedelta(hours=4)
_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class ShiftChange:
    """A shift that has begun, and who was on call before it; empty if nobody was."""

    shift: OnCallShift
    before: str

    @property
    def people(self) -> tuple[str, ...]:
        """Those whom it concerns: who takes over first."""
        return (self.shift.contact, self.before) if self.before else (self.shift.contact,)


def shift_changes(settings: ResponseSettings, now: datetime) -> Iterator[ShiftChange]:
    """The changes of shift of the last hours, one for each rotation at most."""
    for rotation in settings.rotations:
        shift = on_call(rotation, now, usable_roster(settings))
        if shift is None or shift.since is None or now - shift.since > _NEWS:
            continue
        before = _contact_before(rotation, settings, shift.since)
        if before != shift.contact:
            yield ShiftChange(shift, before)


def notice_of(
    change: ShiftChange, settings: ResponseSettings, open_incidents: Sequence[IncidentRow], url: str
) -> Notice:
    """The message. Its name is the same however often it is made, so that it is sent once."""
    shift = change.shift
    identity = f"{shift.rotation}\n{shift.contact}\n{shift.since}"
    name = f"handover-{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
    called = {contact.id: contact.name or contact.id for contact in settings.contacts}
    return Notice(
        kind=NoticeKind.REPORT,
        incident_id=name,
        severity=Severity.P3,
        scenario=Scenario.CONTROL_PLANE,
        title=f"On call for {shift.rotation}: {called.get(shift.contact, shift.contact)}",
        status="REPORT",
        details="\n".join(_lines(change, called, open_incidents, shift.since or shift.until)),
        url=url,
    )


def _lines(
    change: ShiftChange, called: dict[str, str], open_incidents: Sequence[IncidentRow], at: datetime
) -> Iterator[str]:
    shift = change.shift
    taken = f"{called.get(shift.contact, shift.contact)} is on call from {_stamp(at)} until {_stamp(shift.until)}"
    before = f", after {called.get(change.before, change.before)}" if change.before else ""
    yield f"{taken}{before}{' (an override)' if shift.override else ''}."
    yield ""
    if not open_incidents:
        yield "No incident is open."
        return
    yield f"Open incidents ({len(open_incidents)}):"
    yield from (f"- {_line(row, at)}" for row in _worst_first(open_incidents)[:_MOST_LISTED])
    if len(open_incidents) > _MOST_LISTED:
        yield f"- and {len(open_incidents) - _MOST_LISTED} more: orchestrator incidents list --open"


def _line(row: IncidentRow, at: datetime) -> str:
    owner = row.assignee or row.acknowledged_by
    who = f"{owner} has it" if owner else "nobody has acknowledged it"
    age = span(max(timedelta(), at - row.detected_at))
    drill = ", a drill" if row.drill else ""
    return f"{row.severity.value} {row.id}: {row.title} ({row.status}, for {age}, {who}{drill})"


def _worst_first(rows: Iterable[IncidentRow]) -> list[IncidentRow]:
    return sorted(rows, key=lambda row: (row.severity.number, row.detected_at))


def _contact_before(rotation: OnCallRotation, settings: ResponseSettings, since: datetime) -> str:
    found = on_call(rotation, since - timedelta(microseconds=1), usable_roster(settings))
    return found.contact if found is not None else ""


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"

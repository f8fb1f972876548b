"""What happens when something falls due. Pure.

Each function leaves the incident such that the same thing is not due any more at the same moment; so a timer that is
seen twice, by one process or by two, is acted on once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from orchestration.incidents import closing, escalation, intake, oncall
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.escalation import RECORD_SECONDS, REVIEW_SECONDS, IncidentTimer
from orchestration.incidents.sla import TargetKind
from orchestration.notifications.notice import NoticeKind


def fire(turn: IncidentChange, timer: IncidentTimer) -> None:
    """Do what is due, if it still is."""
    due = escalation.due_times(turn.incident, turn.settings).get(timer)
    if due is not None and due <= turn.now:
        _ACTIONS[timer](turn)


def _page(turn: IncidentChange) -> None:
    """Nobody has answered: page the next level, and give it its time."""
    level = escalation.level_to_page(turn.incident, turn.settings)
    if level is None:
        turn.set(page_due=None)
        return
    contacts = turn.contacts_for(oncall.level_names(level))
    turn.set(levels_paged=turn.incident.levels_paged + 1)
    turn.set(page_due=escalation.next_page(turn.incident, turn.settings, turn.now))
    turn.add_entry("paged", level=level.level, contacts=[contact.id for contact in contacts])
    step = f"page-{turn.incident.paging_rounds}-{turn.incident.levels_paged}"
    turn.notify(NoticeKind.ESCALATION, contacts, step, "nobody has acknowledged it")


def _at_risk(kind: TargetKind) -> Callable[[IncidentChange], None]:
    def act(turn: IncidentChange) -> None:
        timer, breached = escalation.TARGET_TIMERS[kind]
        late = turn.now >= turn.incident.clock.due(kind)
        _warn(turn, timer, tell=not late)
        if late:
            fire(turn, breached)

    return act


def _breached(kind: TargetKind) -> Callable[[IncidentChange], None]:
    def act(turn: IncidentChange) -> None:
        _warn(turn, escalation.TARGET_TIMERS[kind][1], tell=True)

    return act


def _warn(turn: IncidentChange, timer: IncidentTimer, *, tell: bool) -> None:
    mark = escalation.warning(turn.incident, timer)
    turn.set(warned=(*turn.incident.warned, mark))
    turn.add_entry(timer.value, severity=turn.incident.severity.value)
    if tell:
        kind, _, state = timer.value.partition("-")
        due = turn.incident.clock.due(TargetKind(kind))
        turn.notify_everyone(NoticeKind.AT_RISK, mark, f"the {kind} target ({due:%Y-%m-%d %H:%M} UTC) is {state}")


def _update(turn: IncidentChange) -> None:
    """The word that was promised. After a downtime it is said once, not once for each time it was missed."""
    number = turn.incident.updates + 1
    turn.set(updates=number, update_due=escalation.next_update(turn.incident, turn.settings, turn.now))
    turn.add_entry("update-sent", number=number)
    turn.notify_everyone(NoticeKind.UPDATE, f"update-{number}", "the update that was promised")


def _stable(turn: IncidentChange) -> None:
    seconds = turn.settings.stability_seconds
    tried = f" after: {'; '.join(turn.incident.attempted_actions)}" if turn.incident.attempted_actions else ""
    closing.resolve(turn, f"not seen for {seconds:g} s{tried}")


def _remind_of_record(turn: IncidentChange) -> None:
    missing = ", ".join(escalation.missing_record(turn.incident))
    turn.set(record_due=_next_reminder(turn, RECORD_SECONDS))
    _remind(turn, "record", f"its record is due within a day of the resolution; missing: {missing}")


def _remind_of_review(turn: IncidentChange) -> None:
    missing = ", ".join(escalation.missing_review(turn.incident))
    turn.set(review_due=_next_reminder(turn, REVIEW_SECONDS))
    _remind(turn, "review", f"its review is due within a week of the resolution; missing: {missing}")


def _remind(turn: IncidentChange, what: str, reason: str) -> None:
    incident = turn.incident
    turn.add_entry("reminded", of=what, reason=reason)
    names = [incident.assignee] if incident.assignee else incident.notified[:1]
    turn.notify(NoticeKind.REMINDER, turn.contacts_for(names), f"{what}-{incident.version}", reason)


def _next_reminder(turn: IncidentChange, seconds: float) -> datetime:
    resolved = turn.incident.resolved_at or turn.now
    return escalation.next_reminder(resolved, seconds, turn.now)


_ACTIONS: Mapping[IncidentTimer, Callable[[IncidentChange], None]] = MappingProxyType(
    {
        IncidentTimer.PAGE: _page,
        IncidentTimer.RESPONSE_AT_RISK: _at_risk(TargetKind.RESPONSE),
        IncidentTimer.RESPONSE_BREACHED: _breached(TargetKind.RESPONSE),
        IncidentTimer.RESOLUTION_AT_RISK: _at_risk(TargetKind.RESOLUTION),
        IncidentTimer.RESOLUTION_BREACHED: _breached(TargetKind.RESOLUTION),
        IncidentTimer.UPDATE: _update,
        IncidentTimer.STABILITY: _stable,
        IncidentTimer.SUPPRESSION: intake.end_suppression,
        IncidentTimer.RECORD: _remind_of_record,
        IncidentTimer.REVIEW: _remind_of_review,
        IncidentTimer.WATCH: closing.end_watch,
    }
)

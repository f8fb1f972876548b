"""What happens when a timer falls due. Pure.

Each function leaves the incident in a state in which the same timer is not due any more; so a timer that is seen twice,
by one process or by two, fires once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from orchestration.incidents import attention, escalation, followup, lifecycle, oncall
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.escalation import RECORD_SECONDS, REVIEW_SECONDS, IncidentTimer
from orchestration.incidents.sla import TargetKind
from orchestration.notifications.notice import NoticeKind


def fire(change: IncidentChange, timer: IncidentTimer) -> None:
    """Fire a timer, if it is still due."""
    due = escalation.due_times(change.incident, change.settings).get(timer)
    if due is not None and due <= change.now:
        _ACTIONS[timer](change)


def _page(change: IncidentChange) -> None:
    """Nobody has acknowledged: page the next level, and give it its time."""
    level = escalation.level_to_page(change.incident, change.settings)
    if level is None:
        change.set(page_due=None)
        return
    contacts = change.contacts_for(oncall.level_names(level))
    # Raised first: the wait that `next_page` adds is that of the level which is paged now.
    change.set(levels_paged=change.incident.levels_paged + 1)
    change.set(page_due=escalation.next_page(change.incident, change.settings, change.now))
    change.add_entry("paged", level=level.level, contacts=[contact.id for contact in contacts])
    step = f"page-{change.incident.paging_rounds}-{change.incident.levels_paged}"
    change.notify(NoticeKind.ESCALATION, contacts, step, "nobody has acknowledged it")


def _at_risk(kind: TargetKind) -> Callable[[IncidentChange], None]:
    def act(change: IncidentChange) -> None:
        timer, breached = escalation.TARGET_TIMERS[kind]
        late = change.now >= change.incident.clock.due(kind)
        # After a downtime both warnings may be due at once; only the breach is then announced.
        _warn(change, timer, tell=not late)
        if late:
            fire(change, breached)

    return act


def _breached(kind: TargetKind) -> Callable[[IncidentChange], None]:
    def act(change: IncidentChange) -> None:
        _warn(change, escalation.TARGET_TIMERS[kind][1], tell=True)

    return act


def _warn(change: IncidentChange, timer: IncidentTimer, *, tell: bool) -> None:
    mark = escalation.warning(change.incident, timer)
    change.set(warned=(*change.incident.warned, mark))
    change.add_entry(timer.value, severity=change.incident.severity.value)
    if tell:
        kind, _, state = timer.value.partition("-")
        due = change.incident.clock.due(TargetKind(kind))
        change.notify_everyone(NoticeKind.AT_RISK, mark, f"the {kind} target ({due:%Y-%m-%d %H:%M} UTC) is {state}")


def _update(change: IncidentChange) -> None:
    """Send the promised update. After a downtime it is sent once, not once for each time that was missed."""
    number = change.incident.updates + 1
    change.set(updates=number, update_due=escalation.next_update(change.incident, change.settings, change.now))
    change.add_entry("update-sent", number=number)
    change.notify_everyone(NoticeKind.UPDATE, f"update-{number}", "the update that was promised")


def _stable(change: IncidentChange) -> None:
    incident = change.incident
    tried = f" after: {'; '.join(incident.attempted_actions)}" if incident.attempted_actions else ""
    Resolve(incident.proof or f"observed to be gone for {change.settings.stability_seconds:g} s{tried}").apply(change)


def _remind_of_record(change: IncidentChange) -> None:
    missing = ", ".join(escalation.missing_record(change.incident))
    change.set(record_due=_next_reminder(change, RECORD_SECONDS))
    _remind(change, "record", f"its record is due within a day of the resolution; missing: {missing}")


def _remind_of_review(change: IncidentChange) -> None:
    missing = ", ".join(escalation.missing_review(change.incident))
    change.set(review_due=_next_reminder(change, REVIEW_SECONDS))
    _remind(change, "review", f"its review is due within a week of the resolution; missing: {missing}")


def _remind(change: IncidentChange, what: str, reason: str) -> None:
    incident = change.incident
    change.add_entry("reminded", of=what, reason=reason)
    # One person, since a reminder to everybody is a duty of nobody. Without an assignee it is whoever was notified
    # first.
    names = [incident.assignee] if incident.assignee else incident.notified[:1]
    change.notify(NoticeKind.REMINDER, change.contacts_for(names), f"{what}-{incident.version}", reason)


def _next_reminder(change: IncidentChange, seconds: float) -> datetime:
    resolved = change.incident.resolved_at or change.now
    return escalation.next_reminder(resolved, seconds, change.now)


_ACTIONS: Mapping[IncidentTimer, Callable[[IncidentChange], None]] = MappingProxyType(
    {
        IncidentTimer.PAGE: _page,
        IncidentTimer.RESPONSE_AT_RISK: _at_risk(TargetKind.RESPONSE),
        IncidentTimer.RESPONSE_BREACHED: _breached(TargetKind.RESPONSE),
        IncidentTimer.RESOLUTION_AT_RISK: _at_risk(TargetKind.RESOLUTION),
        IncidentTimer.RESOLUTION_BREACHED: _breached(TargetKind.RESOLUTION),
        IncidentTimer.UPDATE: _update,
        IncidentTimer.STABILITY: _stable,
        IncidentTimer.FORGOTTEN: attention.remind_or_page,
        IncidentTimer.SNOOZE: attention.end_snooze,
        IncidentTimer.SUPPRESSION: lifecycle.end_suppression,
        IncidentTimer.RECORD: _remind_of_record,
        IncidentTimer.REVIEW: _remind_of_review,
        IncidentTimer.WATCH: followup.end_watch,
    }
)

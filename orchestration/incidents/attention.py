"""Whether an open incident still has somebody's attention: forgotten acknowledgements, and snoozes. Pure.

An acknowledgement stops the pages, and people get called away, fall asleep again, or wait for each other. Where nothing
is recorded for a while and the problem is still there, whoever has it is reminded; after that it is paged anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.config.response import Contact
from orchestration.incidents import escalation
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.model import describe_actor
from orchestration.notifications.notice import NoticeKind


def remind_or_page(change: IncidentChange) -> None:
    """Remind whoever has acknowledged it; where that has not helped, page anew."""
    incident = change.incident
    by = describe_actor(incident.acknowledged_by)
    if escalation.is_reminded(incident):
        change.set(lapsed_at=change.now)
        change.add_entry("acknowledgement-lapsed", by=incident.acknowledged_by)
        change.start_paging()
        return
    since = escalation.attended_since(incident) or change.now
    reason = (
        f"{by} has it, nothing was recorded since {since:%H:%M} UTC, and it is still there. It is paged anew unless "
        "something is: a note, an estimate, or a snooze"
    )
    change.set(reminded_at=change.now)
    change.add_entry("reminded", of="acknowledgement", reason=reason)
    contacts = _reach(change, incident.acknowledged_by)
    change.notify(NoticeKind.REMINDER, contacts, f"forgotten-{incident.version}", reason)


def wake(change: IncidentChange, reason: str) -> None:
    """End a snooze, if there is one: the level that was due then gets its time anew."""
    incident = change.incident
    if incident.snoozed_until is None:
        return
    # Whoever has snoozed it gets as much time from now on as after anything else that they do.
    change.set(snoozed_until=None, snoozed_by="", attended_at=change.now)
    change.add_entry("woken", reason=reason)
    if incident.page_due is not None:
        change.set(page_due=escalation.next_page(incident, change.settings, change.now))


def end_snooze(change: IncidentChange) -> None:
    """The time of a snooze is over: whoever has asked for it is told, and paging goes on."""
    by, version = change.incident.snoozed_by, change.incident.version
    wake(change, "its time is over")
    reason = f"the snooze of {describe_actor(by)} is over, and it is still open"
    change.notify(NoticeKind.REMINDER, _reach(change, by), f"woken-{version}", reason)


def _reach(change: IncidentChange, name: str) -> Sequence[Contact]:
    """The contact of that name; whoever was notified first, where a user is no contact."""
    return change.contacts_for([name]) or change.contacts_for(change.incident.notified[:1])

"""One change of one incident in the making: the new incident, its timeline entries, and whom to tell. Pure.

What is done to an incident is a function that takes a turn. The desk begins the turn and writes what came out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from orchestration.config.response import Contact, ResponseSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import escalation, oncall
from orchestration.incidents.escalation import EscalationRule
from orchestration.incidents.model import Actor, Incident, TimelineEntry, move, not_before
from orchestration.notifications.notice import NoticeKind

# Somebody who was paged so lately knows; what automation has found since stands on the timeline.
FRESH_SECONDS = 300.0
_PAGES = frozenset({NoticeKind.INITIAL, NoticeKind.ESCALATION})


@dataclass(frozen=True, slots=True)
class Notification:
    """A notice to be sent. `step` makes it idempotent; a `lasting` one is sent although somebody has acknowledged."""

    kind: NoticeKind
    contacts: tuple[Contact, ...]
    step: str
    reason: str = ""
    lasting: bool = False


class IncidentChange:
    """The change, as far as it has come. `now` is never before the incident's last change."""

    def __init__(self, incident: Incident, settings: ResponseSettings, now: datetime, actor: Actor) -> None:
        self.incident = incident
        self.settings = settings
        self.now = not_before(incident, now)
        self.actor = actor
        self.entries: list[TimelineEntry] = []
        self.notifications: list[Notification] = []
        self.stops_pages = False
        self._before = incident

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.incident != self._before or bool(self.entries)

    def set(self, **values: Any) -> None:
        """Change fields of the incident."""
        self.incident = replace(self.incident, **values)

    def add_entry(self, kind: str, **data: Any) -> None:
        """Add an entry to the timeline."""
        self.entries.append(TimelineEntry(self.now, kind, str(self.actor), data))

    def transition(self, to: IncidentStatus, **data: Any) -> None:
        """Go to another state. Raises RefusedError."""
        self.incident, entry = move(self.incident, to, self.now, self.actor, **data)
        self.entries.append(entry)

    def notify(
        self, kind: NoticeKind, contacts: Sequence[Contact], step: str, reason: str = "", *, lasting: bool = False
    ) -> None:
        """Tell these contacts; from now on they belong to those who are told how it ends."""
        self.notifications.append(Notification(kind, tuple(contacts), step, reason, lasting))
        names = [contact.id for contact in contacts]
        self.set(notified=tuple(dict.fromkeys([*self.incident.notified, *names])))
        if kind in _PAGES:
            self.set(paged_at={**self.incident.paged_at, **dict.fromkeys(names, self.now)})

    def notify_everyone(self, kind: NoticeKind, step: str, reason: str = "") -> None:
        """Tell everybody who has been told before."""
        self.notify(kind, self.contacts_for(self.incident.notified), step, reason)

    def contacts_for(self, names: Iterable[str]) -> tuple[Contact, ...]:
        """The contacts that are meant, by the settings of this incident."""
        return oncall.contacts(names, self.settings, self.now)

    def start_paging(self) -> None:
        """Tell those who are to be told first, start the way up, and promise the next word."""
        audience = self.settings.audience_of(self.incident.severity)
        levels = self.settings.escalation.levels
        first = oncall.level_names(levels[0]) if levels and escalation.pages(self.incident) else ()
        self.set(levels_paged=1, paging_rounds=self.incident.paging_rounds + 1)
        self.set(
            page_due=escalation.next_page(self.incident, self.settings, self.now),
            update_due=escalation.next_update(self.incident, self.settings, self.now),
        )
        self.notify(
            NoticeKind.INITIAL, self.contacts_for([*audience, *first]), f"initial-{self.incident.paging_rounds}"
        )

    def escalate(self, level: int, reason: str, step: str, **data: Any) -> None:
        """Tell a level, apart from those whom this same turn tells already.

        It is not a page that waits for an answer, so an acknowledgement does not hold it back. Automation does not page
        anybody twice within five minutes; a person may.
        """
        meant = self.contacts_for([f"level-{level}"])
        told = {contact.id for telling in self.notifications for contact in telling.contacts}
        told |= frozenset() if self.actor.human else self._freshly_paged()
        contacts = [contact for contact in meant if contact.id not in told]
        self.add_entry("escalated", level=level, reason=reason, contacts=[contact.id for contact in meant], **data)
        if contacts or not meant:
            self.notify(NoticeKind.ESCALATION, contacts, step, reason, lasting=True)

    def _freshly_paged(self) -> frozenset[str]:
        since = self.now - timedelta(seconds=FRESH_SECONDS)
        return frozenset(name for name, at in self.incident.paged_at.items() if at > since)

    def finish(self) -> None:
        """Apply the rules of escalation that hold now and have not been applied."""
        if not self.changed:
            return
        for rule in escalation.rules_due(self.incident, self.settings, self.now):
            self.set(escalated=(*self.incident.escalated, rule.value))
            self.escalate(rule.level, rule.sentence, f"rule-{list(EscalationRule).index(rule)}", rule=rule.value)
        if self.stops_pages:  # a page that was stopped may never have arrived
            self.set(paged_at={})
        self.set(changed_at=self.now)

"""One change of one incident while it is being made: the new incident, its timeline entries, its notifications. Pure.

A command is applied to a change. The unit of work creates the change, and writes the result in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from orchestration.config.response import Contact, ResponseSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import escalation, oncall
from orchestration.incidents.escalation import EscalationRule
from orchestration.incidents.model import ActionItem, Actor, Incident, ReviewField, TimelineEntry, move, not_before
from orchestration.notifications.notice import NoticeKind

# Rules of escalation and a playbook often call for the same level within seconds of each other. A second page in that
# time says nothing new to a person who has just been woken; what was found since is on the timeline.
FRESH_SECONDS = 300.0
_PAGES = frozenset({NoticeKind.INITIAL, NoticeKind.ESCALATION})


@dataclass(frozen=True, slots=True)
class Notification:
    """A notice to be sent. `step` makes it idempotent; a `lasting` one is sent even after an acknowledgement. `item` is
    the action item that it is about."""

    kind: NoticeKind
    contacts: tuple[Contact, ...]
    step: str
    reason: str = ""
    lasting: bool = False
    item: ActionItem | None = None


class IncidentChange:
    """The change so far. `now` is never before the incident's last change."""

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
        # Compared by value: a command that sets what is there already writes nothing, and wakes nobody.
        return self.incident != self._before or bool(self.entries)

    def set(self, **values: Any) -> None:
        """Change fields of the incident."""
        self.incident = replace(self.incident, **values)

    def add_entry(self, kind: str, **data: Any) -> None:
        """Add an entry to the timeline."""
        self.entries.append(TimelineEntry(self.now, kind, str(self.actor), data))

    def write_review(self, texts: Mapping[ReviewField, str]) -> None:
        """Write parts of the review. What a person has written is replaced by people only; empty texts say nothing."""
        incident, kept = self.incident, () if self.actor.human else self.incident.written_by_people
        written = {field: text for field, text in texts.items() if text and field not in kept}
        self.set(
            review={**incident.review, **written},
            review_authors={**incident.review_authors, **dict.fromkeys(written, str(self.actor))},
        )

    def transition(self, to: IncidentStatus, **data: Any) -> None:
        """Move to another status. Raises IncidentRefusedError."""
        self.incident, entry = move(self.incident, to, self.now, self.actor, **data)
        self.entries.append(entry)

    def notify(
        self, kind: NoticeKind, contacts: Sequence[Contact], step: str, reason: str = "", *, lasting: bool = False
    ) -> None:
        """Notify these contacts; from now on they also learn how the incident ends."""
        self.notifications.append(Notification(kind, tuple(contacts), step, reason, lasting))
        # The order matters: reminders go to the first contact who was notified.
        names = [contact.id for contact in contacts]
        self.set(notified=tuple(dict.fromkeys([*self.incident.notified, *names])))
        if kind in _PAGES:
            self.set(paged_at={**self.incident.paged_at, **dict.fromkeys(names, self.now)})

    def notify_everyone(self, kind: NoticeKind, step: str, reason: str = "") -> None:
        """Notify everyone who has been notified before."""
        self.notify(kind, self.contacts_for(self.incident.notified), step, reason)

    def notify_of_item(self, item: ActionItem) -> None:
        """Notify those whom the settings name for action items; they do not hear of the incident for that."""
        contacts = self.contacts_for(self.settings.action_items)
        if contacts and not self.incident.drill:
            step = f"action-{item.number}" + ("-done" if item.done_at else "")
            self.notifications.append(Notification(NoticeKind.ACTION_ITEM, contacts, step, item=item))

    def contacts_for(self, names: Iterable[str]) -> tuple[Contact, ...]:
        """The contacts behind names such as `level-2`, by the settings of this incident."""
        return oncall.contacts(names, self.settings, self.now)

    def audience(self) -> tuple[Contact, ...]:
        """Who is notified first at its present severity, by its escalation path."""
        return self.contacts_for(self._audience)

    @property
    def _audience(self) -> tuple[str, ...]:
        return self.settings.audience_of(self.incident.severity, self.incident.escalation_path)

    def start_paging(self) -> tuple[Contact, ...]:
        """Page the first contacts, start the escalation, and schedule the next update. Returns who is paged."""
        levels = escalation.path_of(self.incident, self.settings).levels
        first = oncall.level_names(levels[0]) if levels and escalation.pages(self.incident) else ()
        # The round is part of each message's key: a transaction that is repeated sends nothing twice, while a
        # reopened incident pages anew. The notice below pages the first level, so the timer continues with the second.
        self.set(levels_paged=1, paging_rounds=self.incident.paging_rounds + 1)
        self.set(
            page_due=escalation.next_page(self.incident, self.settings, self.now),
            update_due=escalation.next_update(self.incident, self.settings, self.now),
        )
        contacts = self.contacts_for([*self._audience, *first])
        self.notify(NoticeKind.INITIAL, contacts, f"initial-{self.incident.paging_rounds}")
        return contacts

    def escalate(self, level: int, reason: str, step: str, **data: Any) -> None:
        """Notify a level, except for contacts whom this same change notifies already.

        It is not a page that waits for an acknowledgement, so none holds it back. Automation does not page a contact
        twice within five minutes; a person may.
        """
        meant = self.contacts_for(oncall.names_at(level, escalation.path_of(self.incident, self.settings)))
        told = {contact.id for each in self.notifications for contact in each.contacts}
        told |= frozenset() if self.actor.human else self._freshly_paged()
        contacts = [contact for contact in meant if contact.id not in told]
        self.add_entry("escalated", level=level, reason=reason, contacts=[contact.id for contact in meant], **data)
        # With nobody at that level the notice is planned all the same: without a contact it goes to the log and the
        # console.
        if contacts or not meant:
            self.notify(NoticeKind.ESCALATION, contacts, step, reason, lasting=True)

    def _freshly_paged(self) -> frozenset[str]:
        since = self.now - timedelta(seconds=FRESH_SECONDS)
        return frozenset(name for name, at in self.incident.paged_at.items() if at > since)

    def stop_timers(self) -> None:
        """Stop pages, updates and a suppression: the incident has ended."""
        self.set(page_due=None, update_due=None, suppressed_until=None, snoozed_until=None, snoozed_by="")
        self.stops_pages = True

    def finish(self) -> None:
        """Apply the escalation rules that hold now and have not been applied."""
        if not self.changed:
            return
        for rule in escalation.rules_due(self.incident, self.settings, self.now):
            self.set(escalated=(*self.incident.escalated, rule.value))
            self.escalate(rule.level, rule.sentence, f"rule-{list(EscalationRule).index(rule)}", rule=rule.value)
        if self.stops_pages:
            # A page that was stopped may never have arrived, so it must not count as a recent one.
            self.set(paged_at={})
        if self.actor.human:
            self.set(attended_at=self.now)
        self.set(changed_at=self.now)

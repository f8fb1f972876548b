"""The contacts: whether their channels can be used, and test messages to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.app.project import ProjectRecords
from orchestration.config.channels.kinds import find_channel_kind
from orchestration.config.response import Contact
from orchestration.domain.channel_kind import ChannelKind
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import NotFoundError
from orchestration.ids import new_id
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.recipients import OPERATOR, message_row
from orchestration.storage.outbox import DeliveryAttempt, Outbox, OutboxRow
from orchestration.storage.push_subscriptions import PushSubscriptions

READY = "ready"


@dataclass(frozen=True, slots=True)
class ContactChannel:
    """One channel of a contact and whether it can be used; `last` is how the last attempt on the channel ended."""

    contact: str
    level: int | None
    channel: str
    address: str
    state: str
    last: DeliveryAttempt | None


def known_contacts(here: ProjectRecords) -> tuple[Contact, ...]:
    """The contacts of the configuration; without any, the operator, who reads the log and the console."""
    return here.configuration.response.contacts or (OPERATOR,)


def contact_channels(here: ProjectRecords) -> list[ContactChannel]:
    """Every channel of every contact."""
    last = Outbox(here.database).last_attempts()
    return [
        ContactChannel(
            contact.id,
            contact.level,
            address.channel,
            address.address or "",
            channel_state(here, contact, address.channel),
            last.get(address.channel),
        )
        for contact in known_contacts(here)
        for address in contact.channels
    ]


def send_test(here: ProjectRecords, name: str, by: str) -> Sequence[OutboxRow]:
    """Plan a test message on every working channel of a contact; the control process sends it. Raises NotFoundError."""
    contact = next((one for one in known_contacts(here) if one.id == name), None)
    if contact is None:
        known = ", ".join(one.id for one in known_contacts(here))
        raise NotFoundError(f"There is no contact '{name[:64]}'. The configuration has: {known}.")
    now, response = here.clock.now(), here.configuration.response
    notice = test_notice(now, by)
    rows = [message_row(notice, contact, place, "test", now) for place in response.reachable(contact)]
    Outbox(here.database, here.redactor.data).add(rows)
    return rows


def test_notice(now: datetime, by: str) -> Notice:
    """The content of a test message."""
    return Notice(
        kind=NoticeKind.TEST,
        incident_id=new_id("test", now.timestamp()),
        severity=Severity.P3,
        scenario=Scenario.CONTROL_PLANE,
        title="Test of this channel",
        status="TEST",
        details=f"Sent by: {by}",
    )


def _has_device(here: ProjectRecords, contact: Contact, channel: str) -> bool:
    users = [place.address for place in contact.channels if place.channel == channel and place.address]
    return any(PushSubscriptions(here.database).of_user(user) for user in users)


def channel_state(here: ProjectRecords, contact: Contact, name: str) -> str:
    """Whether a contact's channel is ready, or the first thing that keeps it from being used."""
    response = here.configuration.response
    settings = response.channel(name)
    if settings is None:
        return "no such channel"
    if not settings.enabled:
        return "switched off"
    kind = find_channel_kind(settings.type)
    if kind is None:
        return f"type not installed: {settings.type}"
    if missing := kind.missing(settings):
        return f"incomplete: {', '.join(missing)}"
    if unset := [name for name in settings.variables.values() if here.store.credentials.get(name) is None]:
        return f"not set: {', '.join(unset)}"
    if kind.name == ChannelKind.WEB_PUSH and not _has_device(here, contact, name):
        return "no device is subscribed"
    return READY if name in {address.channel for address in response.reachable(contact)} else "no address"

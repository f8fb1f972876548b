"""Recipients: from a notice to the rows of the outbox. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestration.config.channels.kinds import BUILT_IN_CHANNELS, find_channel_kind
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import Contact, ContactAddress, QuietHours, ResponseSettings
from orchestration.domain.channel_kind import ChannelKind
from orchestration.domain.severity import Severity
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.templates import SHIPPED, TemplateRenderer
from orchestration.notifications.templates.values import zone_of
from orchestration.storage.outbox import LEAST_URGENT, OutboxRow, OutboxState

LONGEST_KEY = 160
# However severe the incident is or was that they are about.
_UNHURRIED = frozenset({NoticeKind.REMINDER, NoticeKind.REPORT, NoticeKind.TEST})
# Five attempts take about half a minute with the waits between them: long enough for a short outage to pass, and short
# enough for the fallback to come well before the deadline to acknowledge a P0.
LOG_FALLBACK_AFTER = 5

# The person who reads the log and the terminal; notified when there is no contact.
OPERATOR = Contact(
    id="operator", name="operator", channels=tuple(ContactAddress(channel=name) for name in BUILT_IN_CHANNELS)
)


def plan(
    notice: Notice,
    contacts: Sequence[Contact],
    response: ResponseSettings,
    step: str,
    now: datetime,
    *,
    templates: TemplateRenderer = SHIPPED,
) -> tuple[OutboxRow, ...]:
    """One message for each contact on each of its reachable channels.

    `step` distinguishes the notices of one incident (`initial`, `escalation-2`). With incident, contact and channel it
    makes the key, so that planning the same step again adds nothing. If no contact can be reached, the messages go to
    the log and the console.
    """
    rows = [row for contact in contacts for row in _for_contact(notice, contact, response, step, now, templates)]
    rows = rows or list(_for_contact(notice, OPERATOR, response, step, now, templates))
    return tuple({row.key: row for row in rows}.values())


def message_key(incident_id: str, step: str, contact: str, channel: str) -> str:
    """The idempotency key of a message, at most 160 characters; a longer one ends in a hash of the whole text."""
    text = f"{incident_id}:{step}:{contact}:{channel}"
    if len(text) <= LONGEST_KEY:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:40]
    return f"{text[: LONGEST_KEY - len(digest) - 1]}:{digest}"


def message_row(
    notice: Notice,
    contact: Contact,
    place: ContactAddress,
    step: str,
    now: datetime,
    *,
    templates: TemplateRenderer = SHIPPED,
) -> OutboxRow:
    """One message to a contact on one channel."""
    text = templates.render(notice, contact)
    return OutboxRow(
        key=message_key(notice.incident_id, step, contact.id, place.channel),
        incident_id=notice.incident_id,
        kind=notice.kind.value,
        contact=contact.id,
        channel=place.channel,
        address=place.address,
        payload={
            "subject": text.subject,
            "body": text.body,
            "notice": notice.as_json(),
            "step": step,
            "note": text.note,
        },
        stops_on_acknowledge=notice.kind.is_page,
        created_at=now,
        due_at=due_at(contact, notice, now),
        urgency=LEAST_URGENT if notice.kind in _UNHURRIED else notice.severity.number,
    )


def due_at(contact: Contact, notice: Notice, now: datetime) -> datetime:
    """When a contact may be notified: now, or at the end of its quiet hours. A test never waits."""
    if contact.quiet_hours is None or notice.kind is NoticeKind.TEST:
        return now
    return after_quiet_hours(contact.quiet_hours, contact.time_zone, notice.severity, now)


def after_quiet_hours(quiet: QuietHours, zone: str, severity: Severity, now: datetime) -> datetime:
    """`now` if the severity may disturb or these are not quiet hours, else the next time at which the local clock shows
    `quiet.end`. An end that the change to summer time skips comes as long after midnight as on other days."""
    local = now.astimezone(zone_of(zone))
    if severity in quiet.severities or not _is_quiet(quiet, local.time()):
        return now
    days = (local.date(), local.date() + timedelta(days=1))
    return min(end for day in days for end in _times_of(day, quiet.end, zone_of(zone)) if end > now)


def _times_of(day: date, at: time, zone: ZoneInfo) -> Iterator[datetime]:
    """The moments at which the local clock shows a time on a day.

    Two when the clock is set back (PEP 495 tells them apart by `fold`), one late moment when the time is skipped.
    """
    first = datetime.combine(day, at, zone)
    second = first.replace(fold=1)
    yield first.astimezone(UTC)
    if second.astimezone(UTC) > first.astimezone(UTC):
        yield second.astimezone(UTC)


def _is_quiet(quiet: QuietHours, at: time) -> bool:
    if quiet.start <= quiet.end:
        return quiet.start <= at < quiet.end
    return at >= quiet.start or at < quiet.end


def _for_contact(
    notice: Notice,
    contact: Contact,
    response: ResponseSettings,
    step: str,
    now: datetime,
    templates: TemplateRenderer,
) -> Iterator[OutboxRow]:
    for place in response.reachable(contact):
        settings = response.channel(place.channel)
        if settings is not None and carries(settings, notice.kind):
            yield message_row(notice, contact, place, step, now, templates=templates)


def carries(settings: ChannelSettings, kind: NoticeKind) -> bool:
    """Whether a notice of this kind can be sent on such a channel."""
    channel = find_channel_kind(settings.type)
    if channel is None:
        return False
    match kind:
        case NoticeKind.REPORT:
            return channel.carries_reports
        case NoticeKind.REMINDER:
            return channel.carries_reminders
        case _:
            return True


def substitute(
    failed: OutboxRow, siblings: Sequence[OutboxRow], response: ResponseSettings, now: datetime
) -> OutboxRow | None:
    """The replacement for a message that was rejected for good: the same text on the contact's next channel.

    `siblings` are the messages about the same incident. If every channel has a message of this step already, the text
    goes to the log, unless one of those was sent or may still be.
    """
    step = failed.payload.get("step")
    kind = next((kind for kind in NoticeKind if kind == failed.kind), None)
    if step is None or kind is None:  # a damaged payload is damaged on every channel
        return None
    same = [row for row in siblings if row.contact == failed.contact and row.payload.get("step") == step]
    used = {failed.channel, *(row.channel for row in same)}
    contact = next((each for each in response.contacts if each.id == failed.contact), OPERATOR)
    for place in response.reachable(contact):
        settings = response.channel(place.channel)
        if place.channel not in used and settings is not None and carries(settings, kind):
            return _moved_to(failed, place, now)
    alive = any(row.key != failed.key and row.state in (OutboxState.SENT, OutboxState.PENDING) for row in same)
    log = ChannelKind.LOG.value
    return None if alive or log in used else _moved_to(failed, ContactAddress(channel=log), now)


def fallback(row: OutboxRow, now: datetime) -> OutboxRow | None:
    """The copy for the log of a page that keeps failing, if it is time for one. The page itself is still sent again."""
    log = ContactAddress(channel=ChannelKind.LOG.value)
    return _moved_to(row, log, now) if row.attempts >= LOG_FALLBACK_AFTER and row.stops_on_acknowledge else None


def _moved_to(row: OutboxRow, place: ContactAddress, now: datetime) -> OutboxRow:
    return replace(
        row,
        key=message_key(row.incident_id or row.key, str(row.payload["step"]), row.contact, place.channel),
        channel=place.channel,
        address=place.address,
        due_at=now,
        attempts=0,
        state=OutboxState.PENDING,
        detail="",
    )

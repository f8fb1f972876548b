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
_UNHURRIED = frozenset({NoticeKind.REPORT, NoticeKind.TEST})
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
    """One message for each contact on each of its reachable channels; for those who share an address, one together.

    `step` distinguishes the notices of one incident (`initial`, `escalation-2`). With incident, contact and channel it
    makes the key, so that planning the same step again adds nothing. If no contact can be reached, the messages go to
    the log and the console.
    """
    rows = _rows(notice, contacts, response, step, now, templates)
    rows = rows or _rows(notice, (OPERATOR,), response, step, now, templates)
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
    also: Sequence[Contact] = (),
) -> OutboxRow:
    """One message on one channel, to a contact, and to others who have the same address there."""
    people = (contact, *also)
    return OutboxRow(
        key=message_key(notice.incident_id, step, contact.id, place.channel),
        incident_id=notice.incident_id,
        kind=notice.kind.value,
        contact=contact.id,
        channel=place.channel,
        address=place.address,
        payload=_payload(notice, people, step, templates),
        stops_on_acknowledge=notice.kind.is_page,
        created_at=now,
        # Of those who share an address, the first who may be disturbed is enough for the message to come there.
        due_at=min(due_at(each, notice, now) for each in people),
        urgency=LEAST_URGENT if _is_unhurried(notice) else notice.severity.number,
    )


def _payload(notice: Notice, people: Sequence[Contact], step: str, templates: TemplateRenderer) -> dict[str, object]:
    several = len(people) > 1
    text = templates.render(notice, _together(people), [each.name or each.id for each in people] if several else ())
    return {
        "subject": text.subject,
        "body": text.body,
        "notice": notice.as_json(),
        "step": step,
        "note": text.note,
        **({"contacts": [each.id for each in people]} if several else {}),
    }


def _together(people: Sequence[Contact]) -> Contact:
    """Several contacts as one, for whom a text is written: times are in the zone of all, or in UTC."""
    first, zones = people[0], {each.time_zone for each in people}
    if len(people) == 1:
        return first
    name = ", ".join(each.name or each.id for each in people)
    return first.model_copy(update={"name": name, "time_zone": first.time_zone if len(zones) == 1 else "UTC"})


def _is_unhurried(notice: Notice) -> bool:
    """Whether all others go first; a reminder of an incident that is open is as urgent as a page."""
    return notice.kind in _UNHURRIED or (notice.kind is NoticeKind.REMINDER and notice.is_over)


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


def _rows(
    notice: Notice,
    contacts: Sequence[Contact],
    response: ResponseSettings,
    step: str,
    now: datetime,
    templates: TemplateRenderer,
) -> list[OutboxRow]:
    people: dict[tuple[str, str], list[Contact]] = {}
    places: dict[tuple[str, str], ContactAddress] = {}
    for contact in contacts:
        for place in response.reachable(contact):
            settings = response.channel(place.channel)
            if settings is not None and carries(settings, notice.kind):
                shown = _shared(place, settings)
                # Several may share an address; elsewhere each has a message of their own.
                who = contact.id if shown is None else f"\n{shown.address}"
                people.setdefault((place.channel, who), []).append(contact)
                places.setdefault((place.channel, who), shown or place)
    return [
        message_row(notice, found[0], places[key], step, now, templates=templates, also=found[1:])
        for key, found in people.items()
    ]


def _shared(place: ContactAddress, settings: ChannelSettings) -> ContactAddress | None:
    """The place with the address that contacts may share; None on a channel where each gets their own message."""
    kind = find_channel_kind(settings.type)
    if kind is None or not kind.shared:
        return None
    # Without addresses the channel itself is the address, and its name stands for it.
    return place if kind.address is not None else ContactAddress(channel=place.channel, address=place.channel)


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


def substitutes(
    failed: OutboxRow, siblings: Sequence[OutboxRow], response: ResponseSettings, now: datetime
) -> tuple[OutboxRow, ...]:
    """What replaces a message that was rejected for good: the same text on the next channel of each whom it was for.

    `siblings` are the messages about the same incident. If every channel of a contact has a message of this step
    already, the text goes to the log, unless one of those was sent or may still be.
    """
    moved: dict[tuple[str, str | None], list[str]] = {}
    for contact in failed.contacts:
        place = _next_place(failed, contact, siblings, response)
        if place is not None:
            moved.setdefault((place.channel, place.address), []).append(contact)
    return tuple(
        _moved_to(failed, ContactAddress(channel=channel, address=address), now, contacts)
        for (channel, address), contacts in moved.items()
    )


def _next_place(
    failed: OutboxRow, name: str, siblings: Sequence[OutboxRow], response: ResponseSettings
) -> ContactAddress | None:
    step = failed.payload.get("step")
    kind = next((kind for kind in NoticeKind if kind == failed.kind), None)
    if step is None or kind is None:  # a damaged payload is damaged on every channel
        return None
    same = [row for row in siblings if name in row.contacts and row.payload.get("step") == step]
    used = {failed.channel, *(row.channel for row in same)}
    contact = next((each for each in response.contacts if each.id == name), OPERATOR)
    for place in response.reachable(contact):
        settings = response.channel(place.channel)
        if place.channel not in used and settings is not None and carries(settings, kind):
            return _shared(place, settings) or place
    alive = any(row.key != failed.key and row.state in (OutboxState.SENT, OutboxState.PENDING) for row in same)
    log = ChannelKind.LOG.value
    return None if alive or log in used else ContactAddress(channel=log)


def fallback(row: OutboxRow, now: datetime) -> OutboxRow | None:
    """The copy for the log of a page that keeps failing, if it is time for one. The page itself is still sent again."""
    log = ContactAddress(channel=ChannelKind.LOG.value)
    return _moved_to(row, log, now) if row.attempts >= LOG_FALLBACK_AFTER and row.stops_on_acknowledge else None


def _moved_to(row: OutboxRow, place: ContactAddress, now: datetime, contacts: Sequence[str] = ()) -> OutboxRow:
    people = tuple(contacts) or row.contacts
    named = {"contacts": list(people)} if len(row.contacts) > 1 else {}
    return replace(
        row,
        key=message_key(row.incident_id or row.key, str(row.payload["step"]), people[0], place.channel),
        contact=people[0],
        channel=place.channel,
        address=place.address,
        payload={**row.payload, **named},
        due_at=now,
        attempts=0,
        state=OutboxState.PENDING,
        detail="",
    )

"""Who is notified of an incident, how, and how soon: contacts, channels, escalation, targets, the business calendar.

The terms of the incident response are defined here, because every package above uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from orchestration.config.channels.kinds import BUILT_IN_CHANNELS, find_channel_kind
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.escalation import DEFAULT_PATH, EscalationPath, EscalationRoute, EscalationSettings
from orchestration.config.section import DAY, HOUR, MINUTE, EnvironmentName, Identifier, PositiveSeconds, Section
from orchestration.domain.severity import Severity

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # no such zone, a folder of zones, an impossible name
        raise ValueError("a time zone's name such as UTC or Europe/Vienna") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


class ContactAddress(Section):
    """Where a contact is on a channel: an e-mail address, or nothing where the channel itself is the address."""

    channel: Identifier
    address: str | None = None


class QuietHours(Section):
    """Local hours in which only `severities` may disturb; all else waits until they end. They may go over midnight;
    with `start` equal to `end` there are none."""

    start: time
    end: time
    severities: tuple[Severity, ...] = (Severity.P0, Severity.P1)


class Contact(Section):
    """A person, or a group that is reached like one. `level` is the playbook's: 1 on-call engineer, 2 technical lead,
    3 project manager, 4 security team. `accounts` are the person's ids at the services behind channels, by the channel:
    what comes back from there is done in the contact's name."""

    id: Identifier
    name: str = ""
    level: Annotated[int, Field(ge=1, le=4)] | None = None
    time_zone: TimeZone = "UTC"
    channels: tuple[ContactAddress, ...] = ()
    accounts: dict[Identifier, str] = Field(default_factory=dict)
    quiet_hours: QuietHours | None = None


class OnCallOverride(Section):
    """A person takes the place of whoever is on call, from `start` until `end`."""

    contact: Identifier
    start: datetime
    end: datetime


class OnCallCalendar(Section):
    """A calendar in the iCalendar format (RFC 5545) that says who is on call: each event is a shift of the contact
    whose id, name or e-mail address its summary or an attendee is. It is read every `refreshSeconds`; while it cannot
    be read, what was read last stays in force. It is at a `url`, or in a `file` of the project. With `privateNetwork`
    a public name may lead to a private address."""

    url: str | None = None
    url_env: EnvironmentName | None = None
    file: str | None = None
    private_network: bool = False
    refresh_seconds: Annotated[float, Field(ge=60, le=DAY)] = 15 * MINUTE


class OnCallRotation(Section):
    """Members take turns of `days` each (7), or of `hours` each, from `start` on; they hand over at `hand_over` local
    time. With a `calendar`, it says who is on call, and the members take turns where it says nothing."""

    id: Identifier
    level: Annotated[int, Field(ge=1, le=4)] = 1
    members: tuple[Identifier, ...] = ()
    start: date = date(2026, 1, 5)
    days: Annotated[int, Field(ge=1, le=365)] | None = None
    hours: Annotated[int, Field(ge=1, le=23)] | None = None
    hand_over: time = time(9, 0)
    time_zone: TimeZone = "UTC"
    overrides: tuple[OnCallOverride, ...] = ()
    calendar: OnCallCalendar | None = None

    @model_validator(mode="after")
    def _turns(self) -> OnCallRotation:
        if self.hours is not None and self.days is not None:
            raise ValueError("either days or hours")
        if self.calendar is None and not self.members:
            raise ValueError("at least one member, or a calendar")
        if self.members and "start" not in self.model_fields_set:
            raise ValueError("a start, from which the members take turns")
        return self


@dataclass(frozen=True, slots=True)
class OnCallRoster:
    """What is planned for rotations outside the file: what people have entered since, and what calendars say. Both are
    shifts by the rotation's id."""

    overrides: Mapping[str, tuple[OnCallOverride, ...]] = field(default_factory=dict)
    calendars: Mapping[str, tuple[OnCallOverride, ...]] = field(default_factory=dict)


class TargetSettings(Section):
    """How soon an incident must be acknowledged and resolved, in seconds; None: by the business calendar, which is
    close of business on the first business day after the local day of detection."""

    response: PositiveSeconds | None = None
    resolution: PositiveSeconds | None = None


class BusinessHours(Section):
    """When people work, for P3. `country` and `subdivision` are ISO 3166 codes of the public holidays to keep."""

    time_zone: TimeZone = "UTC"
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = (
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
    )
    start: time = time(9, 0)
    end: time = time(17, 0)
    country: str | None = None
    subdivision: str | None = None
    holidays: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _usable(self) -> BusinessHours:
        if self.start >= self.end:
            raise ValueError("a start before the end, on the same day")
        if self.country is not None:
            _check_country(self.country, self.subdivision)
        return self


def _check_country(country: str, subdivision: str | None) -> None:
    # Imported only where a country is configured: every command reads the configuration, and few files name one.
    from holidays import list_supported_countries

    known = list_supported_countries()
    if country not in known:
        raise ValueError("a country by its code of ISO 3166, such as AT, whose public holidays are known")
    if subdivision is not None and subdivision not in known[country]:
        raise ValueError(f"one of the parts of {country} whose holidays are known: {', '.join(known[country])}")


# The targets of the incident response playbook; P3 has none in hours, but the next business day.
_TARGETS = MappingProxyType(
    {
        Severity.P0: TargetSettings(response=15 * MINUTE, resolution=4 * HOUR),
        Severity.P1: TargetSettings(response=HOUR, resolution=8 * HOUR),
        Severity.P2: TargetSettings(response=4 * HOUR, resolution=3 * DAY),
        Severity.P3: TargetSettings(),
    }
)
# Levels are written `level-1` to `level-4`; other names are contacts and rotations.
_AUDIENCE = MappingProxyType(
    {
        Severity.P0: ("everyone",),
        Severity.P1: ("level-1", "level-2"),
        Severity.P2: ("level-1",),
        Severity.P3: (),
    }
)


class MessageLinkSettings(Section):
    """Links in messages by which their recipient acknowledges, resolves or escalates without signing in. They begin
    with `dashboardUrl`, and there are none without it. `keyEnv` names a variable with the key that signs them, of at
    least 32 characters, for control processes on several machines; without it the key is made and kept in the state
    directory.
    """

    enabled: bool = True
    expire_seconds: PositiveSeconds = DAY
    key_env: EnvironmentName | None = None


class ResponseSettings(Section):
    """The response to incidents. Without any contact, incidents go to the log and the console alone.

    An incident takes one of the `escalationPaths` if one of the `escalationRoutes` matches it when it is opened, and
    again when it gets worse; the first that does counts, and what none matches takes `escalation`. `actionItems` are
    contacts, rotations or levels that are told of each action item, such as a contact that is a ticket system.
    """

    channels: dict[Identifier, ChannelSettings] = Field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()
    rotations: tuple[OnCallRotation, ...] = ()
    audience: dict[Severity, tuple[str, ...]] = Field(default_factory=lambda: dict(_AUDIENCE))
    action_items: tuple[str, ...] = ()
    escalation: EscalationSettings = EscalationSettings()
    escalation_paths: dict[Identifier, EscalationPath] = Field(default_factory=dict)
    escalation_routes: tuple[EscalationRoute, ...] = ()
    targets: dict[Severity, TargetSettings] = Field(default_factory=lambda: dict(_TARGETS))
    business_hours: BusinessHours = BusinessHours()
    at_risk_percent: Annotated[float, Field(gt=0, lt=100)] = 75
    stability_seconds: PositiveSeconds = 30.0
    reopen_seconds: PositiveSeconds = HOUR
    recurrence_days: Annotated[int, Field(ge=1, le=365)] = 30
    update_seconds: dict[Severity, PositiveSeconds] = Field(
        default_factory=lambda: {
            Severity.P0: 30 * MINUTE,
            Severity.P1: HOUR,
            Severity.P2: 4 * HOUR,
            Severity.P3: DAY,
        }
    )
    dead_man_url_env: EnvironmentName | None = None
    # Whether a public name in that address may lead to a private one.
    dead_man_private_network: bool = False
    dashboard_url: str | None = None
    message_links: MessageLinkSettings = MessageLinkSettings()
    # Not a part of the file, and never stored with it.
    _roster: OnCallRoster = PrivateAttr(default_factory=OnCallRoster)

    @property
    def roster(self) -> OnCallRoster:
        """What is planned for the rotations besides."""
        return self._roster

    def with_roster(self, roster: OnCallRoster) -> ResponseSettings:
        """The same settings with what is planned for the rotations."""
        if roster == self._roster:
            return self
        changed = self.model_copy()
        changed._roster = roster  # noqa: SLF001 — its own
        return changed

    def target(self, severity: Severity) -> TargetSettings:
        """The targets of a severity; the standard ones where the file names none."""
        return self.targets.get(severity, _TARGETS[severity])

    def channel(self, name: str) -> ChannelSettings | None:
        """The channel of that name, None where there is none. The built-in ones cannot be changed."""
        return BUILT_IN_CHANNELS.get(name) or self.channels.get(name)

    def reachable(self, contact: Contact) -> tuple[ContactAddress, ...]:
        """The channels on which a contact can be reached, as far as this file tells; each once, in the file's order."""
        # Reversed, so that of two entries for one channel the first in the file counts.
        usable = {place.channel: place for place in reversed(contact.channels) if self._reaches(place)}
        return tuple(place for place in contact.channels if usable.get(place.channel) is place)

    def _reaches(self, place: ContactAddress) -> bool:
        settings = self.channel(place.channel)
        kind = None if settings is None else find_channel_kind(settings.type)
        if settings is None or kind is None or not settings.enabled or kind.missing(settings):
            return False
        return kind.address is None or bool(place.address)

    def path(self, name: str) -> EscalationSettings:
        """The escalation path of that name; the default one where there is none."""
        return self.escalation_paths.get(name, self.escalation)

    def audience_of(self, severity: Severity, path: str = DEFAULT_PATH) -> tuple[str, ...]:
        """Who is told first of an incident of this severity that takes that escalation path."""
        own = self.escalation_paths[path].audience if path in self.escalation_paths else {}
        return own.get(severity, self.audience.get(severity, _AUDIENCE[severity]))

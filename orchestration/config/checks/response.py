"""Whether incidents would notify the right people, and can. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from orchestration.config.channels.checks import is_http_url
from orchestration.config.channels.kinds import (
    BUILT_IN_CHANNELS,
    SHIPPED_CHANNELS,
    find_channel_kind,
    own_channel_kinds,
)
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.checks.options import check_options
from orchestration.config.document import JsonPath
from orchestration.config.escalation import EscalationLevel, EscalationPath
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, suggest
from orchestration.config.response import Contact, ContactAddress, OnCallCalendar, OnCallRotation, ResponseSettings
from orchestration.config.schema import Configuration
from orchestration.domain.severity import Severity

EVERYONE = "everyone"
LEVELS = {f"level-{level}": level for level in (1, 2, 3, 4)}
_RESERVED = {EVERYONE, "operator", *LEVELS}
_ROOT = ("response",)


def check_channels(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Every channel that a contact uses is complete, and sends passwords encrypted."""
    response = configuration.response
    used = {place.channel for contact in response.contacts for place in contact.channels}
    for name, settings in response.channels.items():
        path = (*_ROOT, "channels", name)
        if name in BUILT_IN_CHANNELS and settings != BUILT_IN_CHANNELS[name]:
            yield Problem(
                FindingCode.RESERVED_NAME, path, f'the channel "{name}" is built in', hint="Choose another name."
            )
        elif settings.enabled and name in used:
            yield from _check_channel(name, settings, path)


def check_contacts(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """Every id is unique, and every contact has a working channel."""
    response = configuration.response
    seen: set[str] = set()
    for path, entry in _places(response):
        if entry.id in seen:
            message = f'there are two contacts or rotations "{entry.id}"'
            yield Problem(FindingCode.DUPLICATE_CONTACT, (*path, "id"), message, hint="Rename one of them.")
        seen.add(entry.id)
        if entry.id in _RESERVED:
            message = f'"{entry.id}" is a reserved name'
            yield Problem(FindingCode.RESERVED_NAME, (*path, "id"), message, hint="Choose another name.")
    for index, contact in enumerate(response.contacts):
        yield from _check_contact(contact, response, environment, (*_ROOT, "contacts", index))


def check_rotations(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """Members and overrides name contacts; overrides start before they end, and do not overlap."""
    response = configuration.response
    contacts = [contact.id for contact in response.contacts]
    for index, rotation in enumerate(response.rotations):
        path = (*_ROOT, "rotations", index)
        for place, member in enumerate(rotation.members):
            yield from _check_known(member, contacts, (*path, "members", place), "contact")
        for place, shift in enumerate(rotation.overrides):
            yield from _check_known(shift.contact, contacts, (*path, "overrides", place, "contact"), "contact")
        yield from _check_shifts(rotation, path)
        if rotation.calendar is not None:
            yield from _check_calendar(rotation.id, rotation.calendar, environment, (*path, "calendar"))


def check_quota_contacts(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Those who get a request for more quota exist."""
    known = _recipients(configuration.response)
    for name, settings in configuration.runtime.providers.items():
        for place, contact in enumerate(settings.quota_contacts):
            path: JsonPath = ("runtime", "providers", name, "quotaContacts", place)
            yield from _check_known(contact, known, path, "contact or rotation")


def check_audience(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Every recipient exists, P0 and P1 have a recipient, and no level of the escalation is empty.

    Without any contact, notifications go to the log and the console, which suits a single developer's machine.
    """
    response = configuration.response
    known = _recipients(response)
    for severity, names in response.audience.items():
        for place, name in enumerate(names):
            yield from _check_known(name, known, (*_ROOT, "audience", severity.value, place), "contact or rotation")
    for place, name in enumerate(response.action_items):
        yield from _check_known(name, known, (*_ROOT, "actionItems", place), "contact or rotation")
    yield from _check_levels(response, response.escalation.levels, (*_ROOT, "escalation"))
    for name, way in response.escalation_paths.items():
        yield from _check_path(response, name, way)
    for severity in (Severity.P0, Severity.P1):
        if response.contacts and not any(_has_members(response, n) for n in response.audience_of(severity)):
            hint = f'Name a contact in response.audience.{severity.value}, or give one a "level".'
            path = (*_ROOT, "audience", severity.value)
            yield Problem(
                FindingCode.EMPTY_AUDIENCE, path, f"nobody would be notified of {severity.value} incidents", hint=hint
            )


def _check_path(response: ResponseSettings, name: str, path: EscalationPath) -> Iterator[Problem]:
    where, known = (*_ROOT, "escalationPaths", name), _recipients(response)
    for severity, names in path.audience.items():
        for place, each in enumerate(names):
            yield from _check_known(each, known, (*where, "audience", severity.value, place), "contact or rotation")
    yield from _check_levels(response, path.levels, where)


def _check_levels(response: ResponseSettings, levels: Sequence[EscalationLevel], path: JsonPath) -> Iterator[Problem]:
    known = _recipients(response)
    for index, level in enumerate(levels):
        where = (*path, "levels", index)
        for place, name in enumerate(level.targets):
            yield from _check_known(name, known, (*where, "targets", place), "contact or rotation")
        if response.contacts and not level.targets and not _of_level(response, level.level):
            hint = f'Give a contact "level": {level.level}, or remove the level from the escalation.'
            yield Problem(FindingCode.EMPTY_LEVEL, where, f"nobody is at level {level.level}", hint=hint)


def check_dashboard(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """The address of the dashboard, which links in messages start with, is a URL."""
    address = configuration.response.dashboard_url
    if address is not None and not is_http_url(address):
        message, expected = "links in messages would not work with this address", "an http:// or https:// URL"
        hint = "Write it as people open it in a browser, or omit it."
        yield Problem(FindingCode.BAD_DASHBOARD_URL, (*_ROOT, "dashboardUrl"), message, expected, hint)


def _check_channel(name: str, settings: ChannelSettings, path: JsonPath) -> Iterator[Problem]:
    kind = find_channel_kind(settings.type)
    if kind is None:
        yield _unknown_kind(name, settings.type, (*path, "type"))
        return
    for key in kind.missing(settings):
        hint = f'Set "{key}" in response.channels.{name}.'
        yield Problem(FindingCode.CHANNEL_INCOMPLETE, (*path, key), f'the channel "{name}" has no "{key}"', hint=hint)
    yield from check_options(kind.options, settings.options, (*path, "options"), f'a channel of the type "{kind.name}"')
    for check in kind.checks:
        yield from check(name, settings, path)


def _unknown_kind(name: str, kind: str, path: JsonPath) -> Problem:
    own = own_channel_kinds()
    broken = f" {'; '.join(own.problems)}." if own.problems else ""
    known = suggest(kind, [*SHIPPED_CHANNELS, *(descriptor.name for descriptor in own.usable)])
    message = f'the channel "{name}" cannot be used: no installed package has the type "{kind}"'
    return Problem(
        FindingCode.UNKNOWN_CHANNEL_TYPE, path, message, hint=f"Install its package. {known}{broken}".strip()
    )


def _check_contact(
    contact: Contact, response: ResponseSettings, environment: CheckEnvironment, path: JsonPath
) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, place in enumerate(contact.channels):
        where = (*path, "channels", index)
        if place.channel in seen:
            yield Problem(
                FindingCode.REPEATED_CHANNEL, where, f'"{place.channel}" is listed twice', hint="Remove one of them."
            )
        seen.add(place.channel)
        yield from _check_place(place, response, environment, where)
    for name in contact.accounts:
        if response.channel(name) is None:
            where, hint = (*path, "accounts", name), suggest(name, list(response.channels))
            yield Problem(FindingCode.UNKNOWN_CHANNEL, where, f'there is no channel "{name}"', hint=hint)
    if not any(_works(place, response, environment) for place in response.reachable(contact)):
        hint = "Give it a channel that is complete, enabled, and has its variables set."
        message = f'no page would reach "{contact.id}": it has no working channel'
        yield Problem(FindingCode.UNREACHABLE_CONTACT, (*path, "channels"), message, hint=hint)


def _check_place(
    place: ContactAddress, response: ResponseSettings, environment: CheckEnvironment, path: JsonPath
) -> Iterator[Problem]:
    settings = response.channel(place.channel)
    if settings is None:
        hint = suggest(place.channel, {*response.channels, *BUILT_IN_CHANNELS})
        yield Problem(
            FindingCode.UNKNOWN_CHANNEL, (*path, "channel"), f'there is no channel "{place.channel}"', hint=hint
        )
        return
    if not settings.enabled:
        hint = f'Set "enabled": true in response.channels.{place.channel}.'
        yield Problem(FindingCode.CHANNEL_OFF, (*path, "channel"), f'"{place.channel}" is disabled', hint=hint)
    kind = find_channel_kind(settings.type)
    if kind is not None and kind.address is not None and not kind.address.accepts(place.address):
        noun = kind.address.noun
        message = f"this is not a valid {noun}" if place.address else f"the {noun} is missing"
        yield Problem(FindingCode.BAD_EMAIL_ADDRESS, (*path, "address"), message, kind.address.example)
    for variable in _unset(settings, environment) if settings.enabled else ():
        message = f'"{place.channel}" needs the variable {variable}, which is not set'
        hint = f"Add a line {variable}=… to .env."
        yield Problem(FindingCode.CHANNEL_VARIABLE_UNSET, (*path, "channel"), message, hint=hint)


def _check_shifts(rotation: OnCallRotation, path: JsonPath) -> Iterator[Problem]:
    sound = []
    for place, shift in enumerate(rotation.overrides):
        aware = shift.start.tzinfo is not None and shift.end.tzinfo is not None
        if not aware or shift.start >= shift.end:
            expected = "times with an offset such as 2026-01-05T09:00:00Z, the start before the end"
            yield Problem(FindingCode.BAD_SHIFT, (*path, "overrides", place), "this override is not valid", expected)
        else:
            sound.append((place, shift))
    for (first, one), (second, other) in combinations(sound, 2):
        if one.start < other.end and other.start < one.end:
            message = f"this override overlaps the one at overrides[{first}]"
            hint = "Let one end when the other starts."
            yield Problem(FindingCode.OVERLAPPING_SHIFTS, (*path, "overrides", second), message, hint=hint)


def _check_calendar(
    rotation: str, calendar: OnCallCalendar, environment: CheckEnvironment, path: JsonPath
) -> Iterator[Problem]:
    url = (calendar.url or "").replace("webcal://", "https://", 1)
    given = [each for each in (calendar.url, calendar.url_env, calendar.file) if each is not None]
    if len(given) != 1 or (url and not is_http_url(url)):
        message, expected = f'the calendar of "{rotation}" has no usable address', "one of url, urlEnv and file"
        yield Problem(FindingCode.BAD_CALENDAR, path, message, expected)
    elif calendar.url_env is not None and calendar.url_env not in environment.variables:
        message = f'the calendar of "{rotation}" needs {calendar.url_env}, which is not set'
        hint = f"Add a line {calendar.url_env}=… to .env."
        yield Problem(FindingCode.CALENDAR_VARIABLE_UNSET, (*path, "urlEnv"), message, hint=hint)


def _check_known(name: str, known: list[str], path: JsonPath, what: str) -> Iterator[Problem]:
    if name not in known:
        yield Problem(FindingCode.UNKNOWN_CONTACT, path, f'there is no {what} "{name}"', hint=suggest(name, known))


def _works(place: ContactAddress, response: ResponseSettings, environment: CheckEnvironment) -> bool:
    settings = response.channel(place.channel)
    return settings is not None and not _unset(settings, environment)


def _unset(settings: ChannelSettings, environment: CheckEnvironment) -> list[str]:
    return sorted(set(settings.variables.values()) - environment.variables)


def _of_level(response: ResponseSettings, level: int) -> bool:
    return any(entry.level == level for _, entry in _places(response))


def _has_members(response: ResponseSettings, name: str) -> bool:
    if name in LEVELS:
        return _of_level(response, LEVELS[name])
    return name == EVERYONE or any(entry.id == name for _, entry in _places(response))


def _recipients(response: ResponseSettings) -> list[str]:
    """Every name that a message may be for."""
    return [*(entry.id for _, entry in _places(response)), EVERYONE, *LEVELS]


def _places(response: ResponseSettings) -> Iterator[tuple[JsonPath, Contact | OnCallRotation]]:
    """All contacts and rotations, which share one name space, with their paths."""
    for index, contact in enumerate(response.contacts):
        yield (*_ROOT, "contacts", index), contact
    for index, rotation in enumerate(response.rotations):
        yield (*_ROOT, "rotations", index), rotation

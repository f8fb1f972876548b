"""`orchestrator contacts`: who is told of incidents, and whether a message really reaches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio.to_thread
import click

from orchestration.app import Project, project
from orchestration.cli import common
from orchestration.cli.render import console, table
from orchestration.config.response import Contact, ContactAddress, ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import NotFoundError
from orchestration.ids import new_id
from orchestration.notifications.last_resort import send_directly
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.recipients import OPERATOR, row_for
from orchestration.storage.outbox import DeliveryAttempt, Outbox, SendOutcome


@dataclass(frozen=True, slots=True)
class _Way:
    """One channel of a contact, and whether it can be used; `last` is how the last try on the channel ended."""

    contact: str
    level: int | None
    channel: str
    address: str
    state: str
    last: DeliveryAttempt | None


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one test message; `key` is empty where none could be sent."""

    contact: str
    channel: str
    address: str
    outcome: str
    seconds: float
    detail: str
    key: str = ""


@click.group()
def contacts() -> None:
    """The people who are told of incidents."""


@contacts.command("list")
@common.json_option
@click.pass_obj
def list_contacts(config: str, as_json: bool) -> None:
    """List the contacts, their channels, and whether those can be used."""
    with project(config) as here:
        last = Outbox(here.database).last_deliveries()
        ways = [way for contact in _everybody(here) for way in _ways(here, contact, last)]
        if as_json:
            common.print_json(ways)
            return
        rows = [
            (
                way.contact,
                "" if way.level is None else str(way.level),
                way.channel,
                way.address,
                way.state,
                "" if way.last is None else f"{way.last.outcome.value} {way.last.at:%Y-%m-%d %H:%M} UTC",
            )
            for way in ways
        ]
        console().print(table(("CONTACT", "LEVEL", "CHANNEL", "ADDRESS", "STATE", "LAST TRY"), rows))


@contacts.command("test")
@click.argument("contact", required=False)
@click.option("--channel", help="Test this channel alone.")
@common.json_option
@click.pass_obj
def test_contacts(config: str, contact: str | None, channel: str | None, as_json: bool) -> int:
    """Send a test message to CONTACT, or to everybody, and show what became of each."""
    with project(config) as here:
        places = _places(here, contact, channel)
        results = common.run_async(lambda: _try(here, places))
        if as_json:
            common.print_json(results)
        else:
            lines = [(one.contact, one.channel, one.outcome, f"{one.seconds:.1f} s", one.detail) for one in results]
            console().print(table(("CONTACT", "CHANNEL", "OUTCOME", "TOOK", "DETAIL"), lines))
        return 0 if all(one.outcome == SendOutcome.SENT.value for one in results) else 1


def _everybody(here: Project) -> tuple[Contact, ...]:
    """The contacts of the configuration; without any, whoever reads the log and the console."""
    return here.configuration.response.contacts or (OPERATOR,)


def _ways(here: Project, contact: Contact, last: Mapping[str, DeliveryAttempt]) -> list[_Way]:
    response = here.configuration.response
    return [
        _Way(
            contact.id,
            contact.level,
            place.channel,
            place.address or "",
            _state(here, response, contact, place.channel),
            last.get(place.channel),
        )
        for place in contact.channels
    ]


def _state(here: Project, response: ResponseSettings, contact: Contact, name: str) -> str:
    settings = response.channel(name)
    if settings is None:
        return "no such channel"
    if not settings.enabled:
        return "switched off"
    if settings.missing:
        return f"incomplete: {', '.join(settings.missing)}"
    if unset := [variable for variable in settings.variables.values() if here.store.credentials.get(variable) is None]:
        return f"not set: {', '.join(unset)}"
    return "ready" if name in {place.channel for place in response.working(contact)} else "no address"


def _places(here: Project, name: str | None, channel: str | None) -> list[tuple[Contact, ContactAddress]]:
    """What is to be tested, usable or not. Raises UsageError when nothing of that name is there."""
    everybody = _everybody(here)
    chosen = [contact for contact in everybody if name in (None, contact.id)]
    if not chosen:
        known = ", ".join(contact.id for contact in everybody)
        raise NotFoundError(f"expected a contact of the configuration ({known}), got '{name}'; correct the name")
    places = [(contact, place) for contact in chosen for place in contact.channels if channel in (None, place.channel)]
    if not places:
        known = ", ".join(sorted({place.channel for contact in chosen for place in contact.channels})) or "none"
        raise NotFoundError(
            f"expected a channel of theirs ({known}), got '{channel}'; see `orchestrator contacts list`"
        )
    return places


async def _try(here: Project, places: Sequence[tuple[Contact, ContactAddress]]) -> list[_Result]:
    """Send to each that can be used, all at once; keep the evidence, so that it is known when each was last tested."""
    now, response = here.clock.now(), here.configuration.response
    notice = Notice(
        kind=NoticeKind.TEST,
        incident_id=new_id("test", now.timestamp()),
        severity=Severity.P3,
        scenario=Scenario.CONTROL_PLANE,
        title="A message to test this channel",
        status="TEST",
        details="Sent by: orchestrator contacts test",
    )
    rows = [
        row_for(notice, contact, place, "test", now) for contact, place in places if place in response.working(contact)
    ]
    deliveries = await send_directly(rows, response, here.store.credentials, here.clock, here.redactor.data)
    outbox = Outbox(here.database, here.redactor.data)
    sent = {}
    for row, delivery in zip(rows, deliveries, strict=True):
        await anyio.to_thread.run_sync(outbox.record, row, delivery)
        sent[row.contact, row.channel] = delivery
    return [_result(here, contact, place, sent.get((contact.id, place.channel))) for contact, place in places]


def _result(here: Project, contact: Contact, place: ContactAddress, delivery: DeliveryAttempt | None) -> _Result:
    address = place.address or ""
    if delivery is None:
        state = _state(here, here.configuration.response, contact, place.channel)
        return _Result(contact.id, place.channel, address, SendOutcome.FAILED.value, 0.0, state)
    return _Result(
        contact.id, place.channel, address, delivery.outcome.value, delivery.seconds, delivery.detail, delivery.key
    )

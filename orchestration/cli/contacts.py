"""`orchestrator contacts`: who is notified of incidents, and whether a message really reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio.to_thread
import click

from orchestration.app import ProjectRecords, project
from orchestration.app.contacts import ContactChannel, channel_state, contact_channels, known_contacts
from orchestration.cli import common
from orchestration.cli.render import console, table
from orchestration.config.response import Contact, ContactAddress
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import NotFoundError
from orchestration.ids import new_id
from orchestration.notifications.last_resort import send_directly
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.recipients import message_row
from orchestration.storage.outbox import DeliveryAttempt, Outbox, SendOutcome


@dataclass(frozen=True, slots=True)
class _TestResult:
    """What happened to one test message; `key` is empty where none could be sent."""

    contact: str
    channel: str
    address: str
    outcome: str
    seconds: float
    detail: str
    key: str = ""


@click.group()
def contacts() -> None:
    """The people who are notified of incidents."""


@contacts.command("list")
@common.json_option
@click.pass_obj
def list_contacts(config: str, as_json: bool) -> None:
    """List the contacts, their channels, and whether those can be used."""
    with project(config) as opened:
        channels = contact_channels(opened)
        if as_json:
            common.print_json(channels)
            return
        header = ("CONTACT", "LEVEL", "CHANNEL", "ADDRESS", "STATE", "LAST ATTEMPT")
        console().print(table(header, [_row(one) for one in channels]))


def _row(one: ContactChannel) -> tuple[str, ...]:
    level = "" if one.level is None else str(one.level)
    last = "" if one.last is None else f"{one.last.outcome.value} {one.last.at:%Y-%m-%d %H:%M} UTC"
    return one.contact, level, one.channel, one.address, one.state, last


@contacts.command("test")
@click.argument("contact", required=False)
@click.option("--channel", help="Test only this channel.")
@common.json_option
@click.pass_obj
def test_contacts(config: str, contact: str | None, channel: str | None, as_json: bool) -> int:
    """Send a test message to CONTACT, or to every contact, and show what happened to each message."""
    with project(config) as opened:
        addresses = _choose(opened, contact, channel)
        # The outbox's sender belongs to the process that leads. A test has to work without one, and its user waits
        # for the result of this one attempt.
        results = common.run_async(lambda: _send_tests(opened, addresses))
        if as_json:
            common.print_json(results)
        else:
            lines = [(one.contact, one.channel, one.outcome, f"{one.seconds:.1f} s", one.detail) for one in results]
            console().print(table(("CONTACT", "CHANNEL", "OUTCOME", "TOOK", "DETAIL"), lines))
        return 0 if all(one.outcome == SendOutcome.SENT.value for one in results) else 1


def _choose(opened: ProjectRecords, name: str | None, channel: str | None) -> list[tuple[Contact, ContactAddress]]:
    """The addresses to test, whether they can be used or not. Raises NotFoundError for an unknown name."""
    known = known_contacts(opened)
    chosen = [contact for contact in known if name in (None, contact.id)]
    if not chosen:
        names = ", ".join(contact.id for contact in known)
        raise NotFoundError(f"there is no contact '{name}'; the configuration has: {names}")
    addresses = [
        (contact, address) for contact in chosen for address in contact.channels if channel in (None, address.channel)
    ]
    if not addresses:
        names = ", ".join(sorted({address.channel for contact in chosen for address in contact.channels})) or "none"
        raise NotFoundError(f"no contact has a channel '{channel}'; their channels: {names}")
    return addresses


async def _send_tests(opened: ProjectRecords, addresses: Sequence[tuple[Contact, ContactAddress]]) -> list[_TestResult]:
    """Send to every address that can be used, all at once, and record each attempt for `contacts list`."""
    now, response = opened.clock.now(), opened.configuration.response
    notice = Notice(
        kind=NoticeKind.TEST,
        incident_id=new_id("test", now.timestamp()),
        severity=Severity.P3,
        scenario=Scenario.CONTROL_PLANE,
        title="A message to test this channel",
        status="TEST",
        details="Sent by: orchestrator contacts test",
    )
    # An address that cannot be used is reported with its reason instead of being tried.
    usable = [(contact, address) for contact, address in addresses if address in response.reachable(contact)]
    rows = [message_row(notice, contact, address, "test", now) for contact, address in usable]
    deliveries = await send_directly(rows, response, opened.store.credentials, opened.clock, opened.redactor.data)
    outbox = Outbox(opened.database, opened.redactor.data)
    sent = {}
    for row, delivery in zip(rows, deliveries, strict=True):
        # Recorded as settled, so that the outbox does not send the test a second time.
        await anyio.to_thread.run_sync(outbox.add_settled, row, delivery)
        sent[row.contact, row.channel] = delivery
    return [
        _result(opened, contact, address, sent.get((contact.id, address.channel))) for contact, address in addresses
    ]


def _result(
    opened: ProjectRecords, contact: Contact, address: ContactAddress, delivery: DeliveryAttempt | None
) -> _TestResult:
    place = (contact.id, address.channel, address.address or "")
    if delivery is None:
        return _TestResult(*place, SendOutcome.FAILED.value, 0.0, channel_state(opened, contact, address.channel))
    return _TestResult(*place, delivery.outcome.value, delivery.seconds, delivery.detail, delivery.key)

"""Notifications without the database: for the case that the database is down, and to test channels."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio

from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.response import Contact, ResponseSettings
from orchestration.notifications.attempt import Redact, attempt
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.notice import Notice
from orchestration.notifications.recipients import OPERATOR, message_key, plan
from orchestration.notifications.templates import SHIPPED, TemplateRenderer
from orchestration.storage.outbox import DeliveryAttempt, OutboxRow, SendOutcome

STEP = "last-resort"


async def last_resort(
    notice: Notice,
    contacts: Sequence[Contact],
    response: ResponseSettings,
    credentials: CredentialSource,
    clock: Clock,
    redact: Redact,
    *,
    templates: TemplateRenderer = SHIPPED,
) -> tuple[DeliveryAttempt, ...]:
    """Notify the log and standard error, then all contacts at once on every channel, each within its time limit.

    `contacts` is the audience of P0. Quiet hours do not apply: without the database nothing could be sent later.
    Returns a record of each attempt; never raises.
    """
    done: list[DeliveryAttempt] = []
    # The built-in channels come first and by themselves: the configuration may be what is broken.
    for audience, settings in (((OPERATOR,), ResponseSettings()), (tuple(contacts), response)):
        with contextlib.suppress(Exception):  # nothing comes after this: whatever fails, the next way is used
            rows = plan(notice, audience, settings, STEP, clock.now(), templates=templates) if audience else ()
            done += await send_directly(rows, settings, credentials, clock, redact)
    return tuple(done)


class LastResort:
    """`last_resort` for callers that must not wait, on any thread: each notice is sent on a thread of its own."""

    def __init__(
        self,
        contacts: Callable[[], Sequence[Contact]],
        response: Callable[[], ResponseSettings],
        credentials: CredentialSource,
        clock: Clock,
        redact: Redact,
    ) -> None:
        """`contacts` returns the present audience of P0, `response` the present configuration."""
        self._contacts = contacts
        self._response = response
        self._credentials = credentials
        self._clock = clock
        self._redact = redact
        self._threads: list[threading.Thread] = []
        self._reached: dict[str, frozenset[tuple[str, str]]] = {}

    def __call__(self, notice: Notice) -> None:
        """Start to notify everybody; never raises and never waits."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        # A thread with an event loop of its own, since the caller's may be what is stuck; a daemon, since a receiver
        # that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._send, args=(notice,), name="last-resort", daemon=True)
        self._threads.append(thread)
        thread.start()

    def reached(self, incident_id: str) -> frozenset[tuple[str, str]]:
        """Who was notified of an incident in this way, as (contact, channel); waits for what has been started."""
        self.close()
        return self._reached.get(incident_id, frozenset())

    def close(self, seconds: float = 10.0) -> None:
        """Wait for what has been started, at most so many seconds for each."""
        for thread in self._threads:
            thread.join(seconds)

    def _send(self, notice: Notice) -> None:
        try:
            contacts, response = self._contacts(), self._response()
        except Exception:  # noqa: BLE001 — the log and the console need no configuration
            contacts, response = (), ResponseSettings()
        done = anyio.run(last_resort, notice, contacts, response, self._credentials, self._clock, self._redact)
        sent = {each.key for each in done if each.outcome is SendOutcome.SENT}
        addresses = [(one.id, place.channel) for one in (*contacts, OPERATOR) for place in one.channels]
        reached = [one for one in addresses if message_key(notice.incident_id, STEP, *one) in sent]
        self._reached[notice.incident_id] = self._reached.get(notice.incident_id, frozenset()).union(reached)


async def send_directly(
    rows: Sequence[OutboxRow], response: ResponseSettings, credentials: CredentialSource, clock: Clock, redact: Redact
) -> list[DeliveryAttempt]:
    """Send messages at the same time, once each, within the time limits of their channels. A failure is not raised."""
    done: dict[str, DeliveryAttempt] = {}
    async with ChannelRegistry(lambda: response, credentials, clock) as channels, anyio.create_task_group() as group:

        async def send(row: OutboxRow) -> None:
            result = await attempt(replace(row, attempts=1), channels, clock, redact, 1.0)
            # Whatever is not sent has failed: a message that bypasses the outbox is never sent again.
            outcome = SendOutcome.SENT if result.outcome is SendOutcome.SENT else SendOutcome.FAILED
            done[row.key] = DeliveryAttempt(row.key, clock.now(), outcome, round(result.seconds, 3), result.detail)

        for row in rows:
            group.start_soon(send, row)
    return [done[row.key] for row in rows]

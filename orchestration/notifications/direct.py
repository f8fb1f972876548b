"""Telling people without any database: when it is the database that is down, and to test a contact's channels."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import anyio

from orchestration.clock import Clock
from orchestration.config.response import Contact, ResponseSettings
from orchestration.notifications.attempt import Redact, attempt
from orchestration.notifications.channels import Channels, Credentials
from orchestration.notifications.notice import Notice
from orchestration.notifications.planning import OPERATOR, plan
from orchestration.notifications.templates import SHIPPED, Templates
from orchestration.storage.outbox import Delivery, OutboxRow, Outcome

STEP = "last-resort"


async def last_resort(
    notice: Notice,
    contacts: Sequence[Contact],
    response: ResponseSettings,
    credentials: Credentials,
    clock: Clock,
    redact: Redact,
    *,
    templates: Templates = SHIPPED,
) -> tuple[Delivery, ...]:
    """Tell the log and standard error, then everybody at once on every channel; each try is limited in time.

    Hand over the audience of P0. Quiet hours are not kept. Returns the evidence of each try; never raises.
    """
    done: list[Delivery] = []
    # The operator is told by the built-in channels alone, whatever the file says.
    for audience, settings in (((OPERATOR,), ResponseSettings()), (tuple(contacts), response)):
        with contextlib.suppress(Exception):  # the last place there is: whatever fails, the next way is tried
            rows = plan(notice, audience, settings, STEP, clock.now(), templates=templates) if audience else ()
            done += await send_directly(rows, settings, credentials, clock, redact)
    return tuple(done)


async def send_directly(
    rows: Sequence[OutboxRow], response: ResponseSettings, credentials: Credentials, clock: Clock, redact: Redact
) -> list[Delivery]:
    """Send messages side by side, once each, within their channels' time limits. Raises nothing for a failed one."""
    done: dict[str, Delivery] = {}
    async with Channels(lambda: response, credentials, clock) as channels, anyio.create_task_group() as group:

        async def send(row: OutboxRow) -> None:
            result = await attempt(replace(row, attempts=1), channels, clock, redact, 1.0)
            outcome = Outcome.SENT if result.outcome is Outcome.SENT else Outcome.FAILED
            done[row.key] = Delivery(row.key, clock.now(), outcome, round(result.seconds, 3), result.detail)

        for row in rows:
            group.start_soon(send, row)
    return [done[row.key] for row in rows]

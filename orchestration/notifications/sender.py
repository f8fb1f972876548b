"""The one sender. It leads by a lease, and takes from the outbox whatever is due.

A message is sent first and marked then: if the process dies between the two it is sent again, with the same key, by
which receivers know it. It is never lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from orchestration import backoff, logs
from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.notifications import (
    NotificationEvent,
    NotificationFailed,
    NotificationRetried,
    NotificationSent,
)
from orchestration.notifications.attempt import DeliveryResult, Redact, attempt
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.rate_limit import SendRate
from orchestration.notifications.recipients import fallback, substitute
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import DeliveryAttempt, Outbox, OutboxRow, SendOutcome

T = TypeVar("T")

LEASE = "notifications.sender"
LEASE_SECONDS = 10.0
_RENEW_SECONDS = 3.0
_POLL_SECONDS = 1.0
# After a nudge the row may not be committed yet: look again soon, a few times.
_SOON_SECONDS, _SOON_TIMES = 0.05, 20
_BATCH = 50
_AT_ONCE = 8
# A claim outlasts the channel's own time limit, so that nobody else sends what is being sent.
_CLAIM_MARGIN_SECONDS = 5.0
# What is under way when we are stopped may still finish, for that long.
_GRACE_SECONDS = 2.0
_EVENTS: Mapping[SendOutcome, type[NotificationEvent]] = {
    SendOutcome.SENT: NotificationSent,
    SendOutcome.RETRIED: NotificationRetried,
    SendOutcome.FAILED: NotificationFailed,
}


def _nothing(_point: str) -> None:
    """Nobody watches."""


class OutboxSender:
    """Sends what is in the outbox. Run `run` in any number of processes; one of them sends.

    `on_point` is called at named points ("after-claim", "after-send", "after-mark"), at which tests end the process.
    """

    def __init__(
        self,
        outbox: Outbox,
        leases: Leases,
        channels: ChannelRegistry,
        bus: EventBus,
        clock: Clock,
        redact: Redact,
        holder: str,
        on_point: Callable[[str], None] = _nothing,
    ) -> None:
        self._outbox = outbox
        self._leases = leases
        self._channels = channels
        self._bus = bus
        self._clock = clock
        self._redact = redact
        self._holder = holder
        self._on_point = on_point
        self._log = logs.get_logger("notifications")
        self._leads = False
        self._renew_at = 0.0
        self._lanes: set[str] = set()
        self._paces: dict[str, SendRate] = {}
        self._in_flight: set[anyio.CancelScope] = set()
        self._deadline = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = anyio.Event()
        self._soon = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that sends."""
        return self._leads

    def nudge(self) -> None:
        """Look at once: something was put. From any thread; hand it to `Outbox.subscribe`."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Send until cancelled. Whatever goes wrong, the database too, is logged and tried again.

        1. Lead, or wait to. 2. Start a lane for each channel on which something is due and none is at work, so that
        one that hangs delays no other. 3. Wait for a nudge or a moment.
        """
        self._loop = asyncio.get_running_loop()
        self._deadline = math.inf
        unsubscribe = self._outbox.subscribe(self.nudge)
        troubles = 0
        try:
            async with anyio.create_task_group() as lanes:
                try:
                    while True:
                        troubles = 0 if await self._survives(lambda: self._tick(lanes)) else troubles + 1
                        self._soon = 0 if troubles else self._soon
                        await self._pause(backoff.delay(troubles, 1.0) if troubles else _POLL_SECONDS)
                finally:
                    self._hurry()
        finally:
            unsubscribe()
            self._loop = None
            await self._resign()

    async def send_due(self) -> None:
        """Send what is due now, and return when that is done. Raises what no channel expected, at the end."""
        errors: list[Exception] = []
        while names := await self._call(lambda: self._outbox.list_due_channels(self._clock.now())):
            async with anyio.create_task_group() as lanes:
                for name in names:
                    lanes.start_soon(self._drain, name, errors)
        if errors:
            raise errors[0]

    async def _tick(self, lanes: anyio.abc.TaskGroup) -> None:
        if not await self._lead():
            return
        for name in await self._call(lambda: self._outbox.list_due_channels(self._clock.now())):
            if name not in self._lanes:
                self._lanes.add(name)
                lanes.start_soon(self._lane, name)

    async def _lane(self, name: str) -> None:
        errors: list[Exception] = []
        try:
            await self._survives(lambda: self._drain(name, errors))
        finally:
            self._lanes.discard(name)
        for error in errors:
            self._log.error("notification.broken", channel=name, message=str(error), exc_info=error)

    async def _drain(self, name: str, errors: list[Exception]) -> None:
        """Send what is due on a channel, some of it side by side, until nothing is."""
        slots = anyio.Semaphore(_AT_ONCE)
        while rows := await self._call(lambda: self._outbox.list_due(name, self._clock.now(), _BATCH)):
            async with anyio.create_task_group() as group:
                for row in rows:
                    await self._pace(name).acquire()
                    await slots.acquire()
                    group.start_soon(self._deliver, row, slots, errors)
            if self._loop is not None and not await self._lead():
                return

    async def _deliver(self, row: OutboxRow, slots: anyio.Semaphore, errors: list[Exception]) -> None:
        """Claim, send, mark. Being stopped in the middle would mean sending it twice, so what has begun may finish."""
        scope = anyio.CancelScope(shield=True, deadline=self._deadline)
        self._in_flight.add(scope)
        try:
            with scope:
                until = self._clock.now() + timedelta(
                    seconds=self._channels.timeout(row.channel) + _CLAIM_MARGIN_SECONDS
                )
                claimed = await self._call(lambda: self._outbox.claim(row, until))
                if claimed is None:
                    return
                self._on_point("after-claim")
                result = await attempt(claimed, self._channels, self._clock, self._redact, random.random())  # noqa: S311
                self._on_point("after-send")
                await self._mark(claimed, result)
                self._on_point("after-mark")
                if result.error is not None:
                    errors.append(result.error)
        finally:
            self._in_flight.discard(scope)
            slots.release()

    async def _mark(self, row: OutboxRow, result: DeliveryResult) -> None:
        now = self._clock.now()
        delivery = DeliveryAttempt(row.key, now, result.outcome, round(result.seconds, 3), result.detail)
        match result.outcome:
            case SendOutcome.SENT:
                await self._call(lambda: self._outbox.mark_sent(row, delivery))
            case SendOutcome.RETRIED:
                self._pace(row.channel).hold(result.hold)
                also = None if result.error else fallback(row, now)
                due_at = now + timedelta(seconds=result.wait)
                await self._call(lambda: self._outbox.postpone(row, due_at, delivery, [also] if also else []))
            case SendOutcome.FAILED:
                response = self._channels.response
                instead = partial(substitute, row, response=response, now=now)
                await self._call(lambda: self._outbox.mark_failed(row, delivery, instead))
        self._tell(row, result)

    def _tell(self, row: OutboxRow, result: DeliveryResult) -> None:
        payload = _EVENTS[result.outcome](
            incident=row.incident_id,
            contact=row.contact,
            channel=row.channel,
            notice=row.kind,
            key=row.key,
            attempt=row.attempts,
            seconds=round(result.seconds, 3),
            message=result.detail or None,
        )
        self._bus.publish(payload)

    async def _lead(self) -> bool:
        if self._clock.monotonic() >= self._renew_at or not self._leads:
            self._leads = await self._call(lambda: self._leases.acquire(LEASE, self._holder, LEASE_SECONDS))
            self._renew_at = self._clock.monotonic() + _RENEW_SECONDS
        return self._leads

    async def _resign(self) -> None:
        if self._leads:
            self._leads = False
            with anyio.CancelScope(shield=True):
                await self._survives(lambda: self._call(lambda: self._leases.release(LEASE, self._holder)))

    def _hurry(self) -> None:
        self._deadline = anyio.current_time() + _GRACE_SECONDS
        for scope in self._in_flight:
            scope.deadline = self._deadline

    async def _pause(self, seconds: float) -> None:
        """Wait, at most until the next nudge; shortly while a nudge is fresh."""
        if self._soon > 0:
            self._soon -= 1
            seconds = _SOON_SECONDS
        async with anyio.create_task_group() as group:

            async def wake() -> None:
                await self._wake.wait()
                group.cancel_scope.cancel()

            group.start_soon(wake)
            await self._clock.sleep(seconds)
            group.cancel_scope.cancel()
        if self._wake.is_set():
            self._wake = anyio.Event()
            self._soon = _SOON_TIMES

    def _pace(self, name: str) -> SendRate:
        rate = self._channels.rate(name)
        pace = self._paces.setdefault(name, SendRate(self._clock, rate))
        pace.set_rate(rate)
        return pace

    async def _survives(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Do something; False when it failed."""
        try:
            await work()
        except Exception:  # noqa: BLE001 — the sender outlives a database that is away, and anything else
            self._log.exception("notification.sender_unwell", message="the outbox could not be worked on; trying again")
            return False
        return True

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function)

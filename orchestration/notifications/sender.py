"""The sender of the outbox. Of all processes one leads by a lease, and sends whatever is due.

A message is sent first and marked as sent afterwards. If the process dies in between, the message is sent again with
the same key, by which receivers recognise it. Marking first would lose the message instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
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
from orchestration.notifications.attempt import DeliveryResult, LinksOf, Redact, attempt, no_links
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.lane import ChannelLane
from orchestration.notifications.rate_limit import SendRate
from orchestration.notifications.recipients import fallback, substitutes
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import DeliveryAttempt, Outbox, OutboxRow, SendOutcome

T = TypeVar("T")

LEASE = "notifications.sender"
# Renewed three times within its duration, so that one slow write does not lose the lease.
LEASE_SECONDS = 10.0
_RENEW_SECONDS = 3.0
_POLL_SECONDS = 1.0
# A nudge may arrive before the transaction that adds the row is committed, so the outbox is read again soon, a few
# times.
_SOON_SECONDS, _SOON_TIMES = 0.05, 20
_BATCH = 50
# The first success on a channel after a failure has what waits there tried again at once, but no more often than that:
# a mail server answers for many recipients, of whom one may go on failing.
_HASTEN_SECONDS = 10.0
# A claim lasts longer than the channel's own time limit, so that a new leader does not send what is still being sent.
_CLAIM_MARGIN_SECONDS = 5.0
# Deliveries in progress may finish for this long after a stop: cutting one off would send it twice.
_GRACE_SECONDS = 2.0
_EVENTS: Mapping[SendOutcome, type[NotificationEvent]] = {
    SendOutcome.SENT: NotificationSent,
    SendOutcome.RETRIED: NotificationRetried,
    SendOutcome.FAILED: NotificationFailed,
}


def _nothing(_point: str) -> None:
    """The default: no test watches."""


class OutboxSender:
    """Sends the messages of the outbox. Call `run` in any number of processes; one of them sends.

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
        links_of: LinksOf = no_links,
    ) -> None:
        self._outbox = outbox
        self._leases = leases
        self._channels = channels
        self._bus = bus
        self._clock = clock
        self._redact = redact
        self._holder = holder
        self._on_point = on_point
        self._links_of = links_of
        self._log = logs.get_logger("notifications")
        self._leads = False
        self._renew_at = 0.0
        self._lanes: set[str] = set()
        self._rates: dict[str, SendRate] = {}
        self._in_flight: dict[str, anyio.CancelScope] = {}
        # The channels that have failed since their last success, and when each was hastened last.
        self._failing: set[str] = set()
        self._hastened_at: dict[str, float] = {}
        self._deadline = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = anyio.Event()
        self._soon_left = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that sends."""
        return self._leads

    def nudge(self) -> None:
        """Read the outbox at once, because a message was added. May be called on any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Send until cancelled. Any failure, even of the database, is logged, and the work is repeated.

        1. Lead, or wait until this process may.
        2. Start a lane for each channel with messages due and none at work: a channel that hangs delays no other.
        3. Wait for a nudge, or for a second, since messages also become due by time.
        """
        self._loop = asyncio.get_running_loop()
        self._deadline = math.inf
        unsubscribe = self._outbox.subscribe(self.nudge)
        failures = 0
        try:
            async with anyio.create_task_group() as lanes:
                try:
                    while True:
                        failures = 0 if await self._guard(lambda: self._tick(lanes)) else failures + 1
                        self._soon_left = 0 if failures else self._soon_left
                        await self._pause(backoff.delay(failures, 1.0) if failures else _POLL_SECONDS)
                finally:
                    self._limit_deliveries()
        finally:
            unsubscribe()
            self._loop = None
            await self._release_lease()

    async def send_due(self) -> None:
        """Send what is due now, and return when that is done. Raises an unexpected error of a channel at the end."""
        errors: list[Exception] = []
        while names := await self._call(lambda: self._outbox.list_due_channels(self._clock.now())):
            async with anyio.create_task_group() as lanes:
                for name in names:
                    lanes.start_soon(self._drain, name, errors)
        if errors:
            raise errors[0]

    async def _tick(self, lanes: anyio.abc.TaskGroup) -> None:
        if not await self._acquire_lease():
            return
        for name in await self._call(lambda: self._outbox.list_due_channels(self._clock.now())):
            if name not in self._lanes:
                self._lanes.add(name)
                lanes.start_soon(self._lane, name)

    async def _lane(self, name: str) -> None:
        errors: list[Exception] = []
        try:
            await self._guard(lambda: self._drain(name, errors))
        finally:
            self._lanes.discard(name)
        for error in errors:
            self._log.error("notification.broken", channel=name, message=str(error), exc_info=error)

    async def _drain(self, name: str, errors: list[Exception]) -> None:
        """Send what is due on a channel, until nothing is due."""

        async def due(without: Collection[str]) -> Sequence[OutboxRow]:
            return await self._call(lambda: self._outbox.list_due(name, self._clock.now(), _BATCH, without))

        async def go_on() -> bool:
            # A long backlog can outlast the lease. Without this check two processes would work on the same outbox.
            return self._loop is None or await self._acquire_lease()

        deliver = partial(self._deliver, errors=errors)
        await ChannelLane(due, deliver, lambda: self._rate(name), self._clock).drain(go_on)

    async def _deliver(self, row: OutboxRow, errors: list[Exception]) -> None:
        """Claim, send, mark. A delivery that has begun may finish: stopping it halfway would send the message twice."""
        scope = self._in_flight[row.key] = anyio.CancelScope(shield=True, deadline=self._deadline)
        try:
            with scope:
                # Claimed one by one, right before it is sent: in a batch, a message behind a slow one would lose its
                # claim before its turn.
                until = self._clock.now() + timedelta(
                    seconds=self._channels.timeout(row.channel) + _CLAIM_MARGIN_SECONDS
                )
                claimed = await self._call(lambda: self._outbox.claim(row, until))
                if claimed is None:
                    return
                self._on_point("after-claim")
                thread = await self._call(lambda: self._outbox.threads.find(claimed))
                chance = random.random()  # noqa: S311 — it spreads retries, and protects nothing
                result = await attempt(
                    claimed, self._channels, self._clock, self._redact, chance, thread, self._links_of
                )
                self._on_point("after-send")
                await self._mark(claimed, result)
                self._on_point("after-mark")
                if result.error is not None:
                    errors.append(result.error)
        finally:
            del self._in_flight[row.key]

    async def _mark(self, row: OutboxRow, result: DeliveryResult) -> None:
        now = self._clock.now()
        delivery = DeliveryAttempt(
            row.key, now, result.outcome, round(result.seconds, 3), result.detail, result.unclear
        )
        match result.outcome:
            case SendOutcome.SENT:
                await self._call(lambda: self._outbox.mark_sent(row, delivery, result.thread))
                await self._hasten(row)
            case SendOutcome.RETRIED:
                # A Retry-After is about the receiver, not about one message, so the whole channel waits.
                self._rate(row.channel).hold(result.hold)
                # A time that the receiver has named is kept, whatever else it accepts meanwhile.
                if result.error is None and not result.hold:
                    self._failing.add(row.channel)
                also = None if result.error else fallback(row, now)
                due_at = now + timedelta(seconds=result.wait)
                await self._call(lambda: self._outbox.postpone(row, due_at, delivery, [also] if also else []))
            case SendOutcome.FAILED:
                response = self._channels.response
                # A function, to be called in the transaction of the failure: two channels that fail at the same time
                # would otherwise each leave the replacement to the other.
                replacement = partial(substitutes, row, response=response, now=now)
                await self._call(lambda: self._outbox.mark_failed(row, delivery, replacement))
        self._publish(row, result)

    async def _hasten(self, sent: OutboxRow) -> None:
        """Have what waits on the channel tried now, if this was its first success after a failure."""
        channel, now = sent.channel, self._clock.monotonic()
        if channel in self._failing and now - self._hastened_at.get(channel, -math.inf) >= _HASTEN_SECONDS:
            self._failing.discard(channel)
            self._hastened_at[channel] = now
            under_way = list(self._in_flight)
            if await self._call(lambda: self._outbox.hasten(channel, self._clock.now(), under_way)):
                self._wake.set()

    def _publish(self, row: OutboxRow, result: DeliveryResult) -> None:
        payload = _EVENTS[result.outcome](
            incident=row.incident_id,
            contact=row.named,
            channel=row.channel,
            notice=row.kind,
            key=row.key,
            attempt=row.attempts,
            seconds=round(result.seconds, 3),
            message=result.detail or None,
        )
        self._bus.publish(payload)

    async def _acquire_lease(self) -> bool:
        if self._clock.monotonic() >= self._renew_at or not self._leads:
            self._leads = await self._call(lambda: self._leases.acquire(LEASE, self._holder, LEASE_SECONDS))
            self._renew_at = self._clock.monotonic() + _RENEW_SECONDS
        return self._leads

    async def _release_lease(self) -> None:
        if self._leads:
            self._leads = False
            # Released rather than left to expire, so that another process sends at once and not only when the lease has
            # run out.
            with anyio.CancelScope(shield=True):
                await self._guard(lambda: self._call(lambda: self._leases.release(LEASE, self._holder)))

    def _limit_deliveries(self) -> None:
        self._deadline = anyio.current_time() + _GRACE_SECONDS
        for scope in self._in_flight.values():
            scope.deadline = self._deadline

    async def _pause(self, seconds: float) -> None:
        """Wait until the next nudge at most, and only shortly after a recent one."""
        if self._soon_left > 0:
            self._soon_left -= 1
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
            self._soon_left = _SOON_TIMES

    def _rate(self, name: str) -> SendRate:
        per_second = self._channels.rate(name)
        send_rate = self._rates.setdefault(name, SendRate(self._clock, per_second))
        send_rate.set_rate(per_second)
        return send_rate

    async def _guard(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Do something; returns False if it failed."""
        try:
            await work()
        except Exception:  # noqa: BLE001 — the sender outlives a database that is away, and anything else
            self._log.exception("notification.sender_unwell", message="the outbox could not be worked on; trying again")
            return False
        return True

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function)

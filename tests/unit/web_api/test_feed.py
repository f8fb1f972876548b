"""The feed of live events: nothing lost, nothing twice, also where numbers come late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import anyio
import pytest

from orchestration.clock import FakeClock
from orchestration.events import Event
from orchestration.storage.timeline import Timeline
from orchestration.web.feed import Feed, Numbered
from tests.support.patience import fail_after


class Written:
    """A timeline of which a test decides what is visible, and which counts how often it is read."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self.reads = 0

    def last_sequence(self) -> int:
        return max(self.numbers, default=0)

    def list_since(self, sequence: int, limit: int = 1000) -> Sequence[Numbered]:
        self.reads += 1
        event = Event("a.b", FakeClock().now())
        return [(number, event) for number in sorted(self.numbers) if number > sequence][:limit]


class Listening:
    """A feed, and what its listeners have heard."""

    def __init__(self, *, ordered: bool) -> None:
        self.timeline, self.clock = Written(), FakeClock()
        self.feed = Feed(cast("Timeline", self.timeline), self.clock, ordered=ordered)

    async def listen(self, heard: list[int], after: int = 0) -> None:
        async for batch in self.feed.subscribe(after):
            heard += [number for number, _ in batch]

    def write(self, *numbers: int) -> None:
        """Have events become visible."""
        self.timeline.numbers |= set(numbers)

    async def begun(self) -> None:
        """Return when a listener has taken its place."""
        while not self.timeline.reads:
            await anyio.sleep(0.005)

    async def looks(self, heard: list[int], count: int) -> None:
        """Let time pass until so much was heard, and then a little more."""
        with fail_after(20):
            while len(heard) < count:
                await self.clock.advance(0.25)
                await anyio.sleep(0.005)
        for _ in range(4):
            await self.clock.advance(0.25)
            await anyio.sleep(0.005)


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_listener_hears_everything_once_and_in_order(ordered: bool) -> None:
    here, heard = Listening(ordered=ordered), list[int]()
    here.timeline.numbers = {1, 2, 3}
    async with anyio.create_task_group() as group:
        group.start_soon(here.feed.run)
        group.start_soon(here.listen, heard, 1)
        await here.looks(heard, 2)
        here.write(4)
        await here.looks(heard, 3)
        here.write(5, 6)
        await here.looks(heard, 5)
        group.cancel_scope.cancel()
    assert heard == [2, 3, 4, 5, 6]
    assert here.feed.subscribers == 0


async def test_a_number_that_becomes_visible_late_is_heard_too() -> None:
    here, heard = Listening(ordered=False), list[int]()
    here.timeline.numbers = {1, 2}
    async with anyio.create_task_group() as group:
        group.start_soon(here.feed.run)
        group.start_soon(here.listen, heard, 2)
        await here.begun()
        for count, number in enumerate((4, 3, 5), start=1):
            here.write(number)
            await here.looks(heard, count)
        group.cancel_scope.cancel()
    assert heard == [4, 3, 5]


async def test_much_that_was_missed_is_caught_up_with_in_parts() -> None:
    here, heard = Listening(ordered=True), list[int]()
    here.timeline.numbers = set(range(1, 3501))
    async with anyio.create_task_group() as group:
        group.start_soon(here.listen, heard, 0)
        while len(heard) < 3500:
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert heard == list(range(1, 3501))


async def test_many_listeners_cost_no_more_readings_than_one() -> None:
    here = Listening(ordered=True)
    here.timeline.numbers = {1}
    heard: list[list[int]] = [[] for _ in range(100)]
    async with anyio.create_task_group() as group:
        group.start_soon(here.feed.run)
        for one in heard:
            group.start_soon(here.listen, one, 1)
        while here.feed.subscribers < 100:
            await anyio.sleep(0.005)
        await here.looks([], 0)
        here.timeline.reads = 0
        here.write(2)
        for one in heard:
            await here.looks(one, 1)
        group.cancel_scope.cancel()
    assert heard == [[2]] * 100
    assert here.timeline.reads < 20


async def test_nobody_listening_is_nothing_read() -> None:
    here = Listening(ordered=True)
    async with anyio.create_task_group() as group:
        group.start_soon(here.feed.run)
        here.write(1)
        await here.looks([], 0)
        group.cancel_scope.cancel()
    assert here.timeline.reads == 0


async def test_a_closed_feed_lets_no_new_stream_last() -> None:
    here, heard = Listening(ordered=True), list[int]()
    here.feed.close()
    with fail_after(2):
        await here.listen(heard)
    assert heard == []

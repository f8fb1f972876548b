"""Live updates: who is told what, when, and at which cost."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from orchestration.clock import SystemClock
from orchestration.events import Event
from orchestration.storage import tables
from orchestration.storage.timeline import Timeline
from orchestration.web.pages.streams import Streams
from tests.support.dashboard import Dashboard
from tests.support.database import migrated
from tests.support.patience import fail_after, patient
from tests.support.project import wait_until

CLOCK = SystemClock()


class CountingTimeline(Timeline):
    """Counts how often it is read, and can be away."""

    reads = 0
    away = False

    def list_since(self, sequence: int, limit: int = 1000) -> tuple[tuple[int, Event], ...]:
        self.reads += 1
        if self.away:
            raise OperationalError("SELECT", {}, Exception("away"))
        return super().list_since(sequence, limit)

    def say(self, kind: str, run_id: str | None = None) -> None:
        self.append([Event(kind, CLOCK.now(), run_id)])

    def say_as(self, sequence: int, kind: str) -> None:
        """Write an event under a number, as a transaction does that began earlier than others."""
        row = {"sequence": sequence, "at": CLOCK.now(), "kind": kind, "actor": "system", "data": {}}
        with self._database.write() as connection:
            connection.execute(sa.insert(tables.events), row)


@pytest.fixture
def timeline(tmp_path: Path) -> Iterator[CountingTimeline]:
    database = migrated(f"sqlite:///{tmp_path / 'test.db'}")
    yield CountingTimeline(database)
    database.close()


@pytest.fixture
def streams(timeline: CountingTimeline) -> Streams:
    return Streams(timeline, CLOCK, ordered=True)


async def the_next(lines: AsyncIterator[str]) -> str:
    with fail_after(10):
        return await anext(lines)


async def is_quiet(lines: AsyncIterator[str]) -> bool:
    """Whether nothing comes for a while; the stream cannot be used afterwards."""
    with anyio.move_on_after(1.5):
        await anext(lines)
        return False
    return True


async def test_a_page_is_told_of_what_it_shows(timeline: CountingTimeline, streams: Streams) -> None:
    lines = streams.listen(["run"], None)
    assert await the_next(lines) == "id: 0\n\n"
    timeline.say("run.created", "run-1")
    assert await the_next(lines) == "event: news\nid: 1\ndata: 1\n\n"


async def test_a_page_is_not_told_of_anything_else(timeline: CountingTimeline, streams: Streams) -> None:
    lines = streams.listen(["incident", "run/run-1"], None)
    await the_next(lines)
    timeline.say("run.created", "run-2")
    assert await is_quiet(lines)


async def test_what_happened_between_making_a_page_and_listening_is_not_lost(
    timeline: CountingTimeline, streams: Streams
) -> None:
    timeline.say("run.created", "run-1")
    made_at = timeline.last_sequence()
    timeline.say("run.finished", "run-1")
    assert (await the_next(streams.listen(["run"], made_at))).startswith("event: news")
    assert (await the_next(streams.listen(["run"], timeline.last_sequence()))).startswith("id:")


async def test_a_page_that_comes_back_is_told_that_it_missed_something(
    timeline: CountingTimeline, streams: Streams
) -> None:
    first = streams.listen(["run"], None)
    await the_next(first)
    timeline.say("run.created", "run-1")
    await the_next(first)
    assert (await the_next(streams.listen(["run"], 0))).startswith("event: news")
    assert (await the_next(streams.listen(["incident"], 1))).startswith("id:")


async def test_the_progress_of_a_run_is_told_to_those_who_look_at_it(
    timeline: CountingTimeline, streams: Streams
) -> None:
    lines = streams.listen(["run/run-1"], None)
    await the_next(lines)
    about = {"agent_run_id": "run-1.planner", "activity": "hears from a model", "tokens": 3}
    timeline.save_heartbeats([Event("agent.progress", CLOCK.now(), "run-1", "planner", data=about)])
    assert (await the_next(lines)).startswith("event: news")


async def test_one_look_serves_all_who_listen(timeline: CountingTimeline, streams: Streams) -> None:
    listeners = [streams.listen(["run"], None) for _ in range(100)]
    for lines in listeners:
        await the_next(lines)
    before = timeline.reads
    timeline.say("run.created", "run-1")
    async with anyio.create_task_group() as group:
        for lines in listeners:
            group.start_soon(the_next, lines)
    assert timeline.reads - before <= 4
    assert streams.open == 100


async def test_without_the_database_a_stream_waits_and_goes_on(timeline: CountingTimeline, streams: Streams) -> None:
    lines = streams.listen(["run"], None)
    await the_next(lines)
    timeline.away = True
    timeline.say("run.created", "run-1")
    before = timeline.reads

    async def come_back() -> None:
        while timeline.reads < before + 2:
            await anyio.sleep(0.05)
        timeline.away = False

    async with anyio.create_task_group() as group:
        group.start_soon(come_back)
        assert (await the_next(lines)).startswith("event: news")


async def test_numbers_that_are_committed_late_are_not_passed_over(timeline: CountingTimeline) -> None:
    lines = Streams(timeline, CLOCK, ordered=False).listen(["run"], None)
    await the_next(lines)
    timeline.say_as(8, "run.created")
    assert await the_next(lines) == "event: news\nid: 8\ndata: 8\n\n"
    timeline.say_as(7, "run.finished")
    assert await the_next(lines) == "event: news\nid: 8\ndata: 8\n\n"
    assert await is_quiet(lines)


async def test_closing_ends_every_stream(timeline: CountingTimeline, streams: Streams) -> None:
    lines = streams.listen(["run"], None)
    await the_next(lines)
    streams.close()
    with fail_after(5):
        assert [line async for line in lines] == []
    assert streams.open == 0


def test_a_server_with_open_streams_stops_at_once(served: Dashboard) -> None:
    """The last test of this module: the server is gone afterwards."""
    ended = []

    def listen() -> None:
        with httpx2.stream("GET", f"{served.url}/stream?of=run", timeout=patient(30)) as answer:
            ended.append(list(answer.iter_lines()))

    threads = [threading.Thread(target=listen) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_until(lambda: served.streams.open == 20, "for the streams to be open")
    assert served.stop() < 4  # without being closed they would hold the stop for all of its five seconds
    for thread in threads:
        thread.join(patient(10))
    assert len(ended) == 20

"""The stream of events: complete, in order, and going on where a reader left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.support.patience import patient, until
from tests.support.web import RunningWebServer


@contextmanager
def reading(client: httpx2.Client, after: int | None = None, **query: object) -> Iterator[Iterator[tuple[int, str]]]:
    """A reader that begins behind an event; yields number and kind."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with client.stream("GET", "/api/v1/events", headers=headers, params=query) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    number = 0
    for line in lines:
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("event: "):
            yield number, line[7:]


def say(server: RunningWebServer, *kinds: str) -> None:
    for kind in kinds:
        server.app.bus.emit(kind)


def take(events: Iterator[tuple[int, str]], count: int) -> list[tuple[int, str]]:
    return [next(events) for _ in range(count)]


def test_what_happens_is_told_in_order_and_a_reader_goes_on_where_it_was(server: RunningWebServer) -> None:
    client = server.client()
    kinds = [f"test.number{index}" for index in range(6)]
    with reading(client, kind="test.") as events:
        say(server, *kinds[:3])
        first = take(events, 3)
    say(server, *kinds[3:5])
    with reading(client, after=first[-1][0], kind="test.") as events:
        missed = take(events, 2)
        say(server, kinds[5])
        last = take(events, 1)
    found = [*first, *missed, *last]
    assert [kind for _, kind in found] == kinds
    assert [number for number, _ in found] == sorted({number for number, _ in found})


def test_a_reader_hears_only_what_it_asked_for(server: RunningWebServer) -> None:
    with reading(server.client(), kind=["test.wanted"], run="run-x") as events:
        server.app.bus.emit("test.wanted", run_id="run-y")
        server.app.bus.emit("test.other", run_id="run-x")
        server.app.bus.emit("test.wanted", run_id="run-x")
        server.app.bus.emit("test.end", run_id="run-x")
        assert next(events)[1] == "test.wanted"
    number = server.app.timeline.last_sequence()
    assert server.app.timeline.list_numbered([number])[0][1].kind


def test_many_readers_hear_the_same(server: RunningWebServer) -> None:
    clients = [server.client() for _ in range(20)]
    heard: list[list[tuple[int, str]]] = []

    def read(client: httpx2.Client) -> None:
        with reading(client, kind="crowd.") as events:
            heard.append(take(events, 50))

    readers = [threading.Thread(target=read, args=(client,)) for client in clients]
    for reader in readers:
        reader.start()
    until(lambda: server.web.feed.subscribers >= 20)
    say(server, *(f"crowd.{index}" for index in range(50)))
    for reader in readers:
        reader.join(timeout=patient(30))
    assert len(heard) == 20
    assert all(one == heard[0] for one in heard)
    until(lambda: server.web.feed.subscribers == 0)


@pytest.mark.parametrize("last", ["nonsense", "-1", "1e9", "９"])
def test_a_last_event_that_is_none_begins_with_now(server: RunningWebServer, last: str) -> None:
    headers = {"Last-Event-ID": last.encode()}
    with server.client().stream("GET", "/api/v1/events", headers=headers) as answer:
        assert answer.status_code == 200

"""Writes of one moment become one, in order, and none is lost when a connection is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from orchestration.web.gathered_writes import GatheredWrites


class _Transport:
    """Notes what reaches the event loop's own transport."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & {one for one in self.done if isinstance(one, str)})


async def what_is_done(*steps: Callable[[GatheredWrites], Any]) -> list[Any]:
    """What reaches the transport, one step in each round of the event loop."""
    transport = _Transport()
    gathered = GatheredWrites(transport, asyncio.get_running_loop())
    for step in steps:
        step(gathered)
        await asyncio.sleep(0)
    return transport.done


def _head_and_body(to: GatheredWrites) -> None:
    to.write(b"head")
    to.write(b"body")


def _write_and(then: str) -> Callable[[GatheredWrites], None]:
    def step(to: GatheredWrites) -> None:
        to.write(b"last")
        getattr(to, then)()

    return step


async def test_what_is_written_in_one_round_is_one_write() -> None:
    assert await what_is_done(_head_and_body, lambda to: to.write(b"more"), lambda _: None) == [b"headbody", b"more"]


async def test_a_connection_that_is_closed_has_sent_everything() -> None:
    assert await what_is_done(_write_and("close"), lambda to: to.write(b"late")) == [b"last", "close"]


async def test_a_connection_that_is_aborted_sends_nothing_more() -> None:
    assert await what_is_done(_write_and("abort")) == ["abort"]


@pytest.mark.parametrize("size", [65_537, 1_000_000])
async def test_much_is_not_held_back_so_that_a_slow_client_is_noticed(size: int) -> None:
    transport = _Transport()
    GatheredWrites(transport, asyncio.get_running_loop()).write(b"a" * size)
    assert transport.done == [b"a" * size]

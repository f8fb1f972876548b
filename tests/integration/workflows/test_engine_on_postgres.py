"""What the engine promises, once more on PostgreSQL: its own SQL differs there, and so do our leases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from orchestration.storage.leases import Leases
from orchestration.workflows.engine import JSON, Engine, Flow, FlowState, untyped
from tests.support.database import migrated

PARENT = untyped("parent")
CHILD = untyped("child")


@asynccontextmanager
async def engine(url: str, **bodies: Any) -> AsyncIterator[Engine]:
    database = migrated(url)
    one = Engine(url, Leases(database))
    for kind, body in bodies.items():
        one.register(untyped(kind), body)
    async with one.running():
        yield one
    database.close()


class Counting:
    """A flow of two steps with a child that has two more; the child's second step waits until it is let go."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.waiting = asyncio.Event()
        self.released = asyncio.Event()
        self.stopped = asyncio.Event()

    async def parent(self, flow: Flow, _: Any) -> Any:
        first = await flow.step("first", JSON, self._counted("first"))
        below = await flow.result(await flow.start(CHILD, f"{flow.id}.child", None))
        return [first, *below, await flow.step("last", JSON, self._counted("last"))]

    async def child(self, flow: Flow, _: Any) -> Any:
        return [await flow.step("a", JSON, self._counted("a")), await flow.step("b", JSON, self._held)]

    def _counted(self, name: str) -> Any:
        async def step() -> str:
            self.done.append(name)
            return name

        return step

    async def _held(self) -> str:
        self.waiting.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        self.done.append("b")
        return "b"


async def test_a_cancelled_flow_and_its_child_go_on_where_they_were(postgres_url: str) -> None:
    flows = Counting()
    async with engine(postgres_url, parent=flows.parent, child=flows.child) as one:
        await one.start(PARENT, "p-1", None)
        await flows.waiting.wait()
        await one.cancel("p-1")
        await flows.stopped.wait()
        assert {status.state for status in await one.tree("p-1")} == {FlowState.CANCELLED}
        flows.released.set()
        await one.resume("p-1")
        assert await one.result("p-1") == ["first", "a", "b", "last"]
    assert flows.done == ["first", "a", "b", "last"]


async def test_a_flow_that_a_stopped_process_left_is_taken_over(postgres_url: str) -> None:
    flows = Counting()
    async with engine(postgres_url, parent=flows.parent, child=flows.child) as first:
        await first.start(PARENT, "p-1", None)
        await flows.waiting.wait()
    flows.released.set()
    async with engine(postgres_url, parent=flows.parent, child=flows.child) as second:
        assert {status.state for status in await second.tree("p-1")} == {FlowState.INTERRUPTED}
        assert await second.recover_all() == 2
        assert await second.result("p-1") == ["first", "a", "b", "last"]
    assert flows.done == ["first", "a", "b", "last"]


async def test_a_fork_shares_the_steps_before_it(postgres_url: str) -> None:
    flows = Counting()
    flows.released.set()
    async with engine(postgres_url, parent=flows.parent, child=flows.child) as one:
        await one.start(PARENT, "p-1", None)
        await one.result("p-1")
        numbers = {step.name: step.number for step in await one.steps("p-1")}
        await one.fork("p-1", numbers["last"], "p-2")
        assert await one.result("p-2") == ["first", "a", "b", "last"]
    assert flows.done == ["first", "a", "b", "last", "last"]

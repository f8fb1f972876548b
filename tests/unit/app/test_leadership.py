"""Work that only the leading process does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from orchestration.app.leadership import Leadership


async def test_work_is_entered_for_each_term_and_left_at_its_end() -> None:
    leadership, seen = Leadership(), list[str]()

    @asynccontextmanager
    async def work() -> AsyncIterator[None]:
        seen.append("begins")
        yield
        seen.append("ends")

    async def becomes(held: bool) -> list[str]:
        leadership.change(held)
        await anyio.wait_all_tasks_blocked()
        return seen

    async with anyio.create_task_group() as group:
        group.start_soon(leadership.while_held, work)
        assert await becomes(False) == []
        assert await becomes(True) == ["begins"]
        assert await becomes(True) == ["begins"]
        assert await becomes(False) == ["begins", "ends"]
        assert await becomes(True) == ["begins", "ends", "begins"]
        group.cancel_scope.cancel()


async def test_a_term_that_ends_before_anybody_has_looked_is_no_term() -> None:
    leadership, entered = Leadership(), list[bool]()

    @asynccontextmanager
    async def work() -> AsyncIterator[None]:
        entered.append(True)
        yield

    async with anyio.create_task_group() as group:
        group.start_soon(leadership.while_held, work)
        await anyio.wait_all_tasks_blocked()
        leadership.change(True)
        leadership.change(False)
        await anyio.wait_all_tasks_blocked()
        assert (entered, leadership.held) == ([], False)
        group.cancel_scope.cancel()

"""Ending the work for a client that has gone away: it costs money for an answer that nobody reads, and holds a slot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import anyio
from starlette.types import Receive

T = TypeVar("T")

# Most answers of fast providers come before that, and a task for each would cost more than the timer.
_WATCH_AFTER_SECONDS = 0.1


async def cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    """Cancel a scope when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def unless_disconnected(receive: Receive, work: Awaitable[T]) -> T | None:
    """The result of some work; None if the client has gone away, and the work was cancelled. The request's body has to
    have been read."""
    loop, watching = asyncio.get_running_loop(), list[asyncio.Task[None]]()

    def watch() -> None:
        watching.append(loop.create_task(cancel_on_disconnect(receive, scope)))

    later = loop.call_later(_WATCH_AFTER_SECONDS, watch)
    try:
        with anyio.CancelScope() as scope:
            return await work
    finally:
        later.cancel()
        for task in watching:
            task.cancel()
    return None

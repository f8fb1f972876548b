"""Work that only the leading control process does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from orchestration.clock import Clock

# Reading the flag costs nothing, and an alert of the first second after a take-over must not wait.
_CHECK_SECONDS = 0.2


async def while_leading(
    leads: Callable[[], bool], clock: Clock, work: Callable[[], AbstractAsyncContextManager[None]]
) -> None:
    """Enter `work` whenever this process leads, and leave it when it no longer does, until cancelled."""
    while True:
        while not leads():
            await clock.sleep(_CHECK_SECONDS)
        # Entered anew for each term: what another process did in between is in the database and not in this one's
        # memory.
        async with work():
            while leads():
                await clock.sleep(_CHECK_SECONDS)

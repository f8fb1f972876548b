"""Which of several control processes leads, and the work that only that one does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio


class Leadership:
    """Whether this process leads. Changed and awaited on the event loop; read anywhere."""

    def __init__(self) -> None:
        self._held = False
        self._changed = anyio.Event()

    @property
    def held(self) -> bool:
        """Whether this process leads now."""
        return self._held

    def change(self, held: bool) -> None:
        """Begin or end a term; nothing if it is so already."""
        if held is not self._held:
            self._held = held
            changed, self._changed = self._changed, anyio.Event()
            changed.set()

    async def while_held(self, work: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Enter `work` whenever this process leads, and leave it when it no longer does, until cancelled."""
        while True:
            await self._until(True)
            # Entered anew for each term: what another process did in between is in the database and not in this one's
            # memory.
            async with work():
                await self._until(False)

    async def _until(self, held: bool) -> None:
        while self._held is not held:
            await self._changed.wait()

"""Writes deliveries that come in at the same time in one transaction, with one wait for the disk (a group commit)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import anyio.to_thread

from orchestration.storage.alert_inbox import InboxDelivery

_Waiting = tuple[tuple[InboxDelivery, ...], asyncio.Future[None]]


class InboxWriter:
    """While one batch is written, the next one gathers. Belongs to one event loop."""

    def __init__(self, write: Callable[..., None]) -> None:
        """`write` takes deliveries, and blocks until all are on the disk; if it raises, none is stored."""
        self._write = write
        # A thread of its own: a slow disk delays the intake, and must not delay the pages and the API beside it.
        self._thread = anyio.CapacityLimiter(1)
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, *deliveries: InboxDelivery) -> None:
        """Return once the deliveries are on the disk. Raises what `write` raises; then none is stored."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((deliveries, written))
        if self._writing is None:
            # A task of its own: the request that comes first may be cancelled, and others wait for the same batch.
            self._writing = loop.create_task(self._write_all())
        await written

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_batch(batch)
        finally:
            self._writing = None

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        error: Exception | None = None
        try:
            deliveries = [delivery for several, _ in batch for delivery in several]
            await anyio.to_thread.run_sync(self._write, *deliveries, limiter=self._thread)
        except Exception as failure:  # noqa: BLE001 — handed to every request of the batch, which raises it
            error = failure
        for _, written in batch:
            if written.done():  # its request was cancelled
                continue
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

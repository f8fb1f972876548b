"""A web server inside a process that does other work: it leaves signals and logging alone, and stops at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp


class EmbeddedServer(uvicorn.Server):
    """Signals when it listens, stops at once, and leaves the signal handlers of the process alone."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(_settings(app))
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait until told to stop. uvicorn polls a flag ten times a second, which would delay every stop."""
        self.ready.set()
        await self.stopping.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _settings(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # Fixed: uvicorn picks httptools where that is installed, and resetting a connection reaches into the
        # protocol's transport.
        http="h11",
        ws="none",
        lifespan="off",
        # uvicorn would otherwise configure logging for the whole process.
        log_config=None,
        log_level="warning",
        access_log=False,
        # uvicorn trusts forwarding headers from this machine, and with them a client could change the peer
        # address by which its connection is found.
        proxy_headers=False,
        server_header=False,
        # Longer than any client keeps an idle connection, so that none is closed under a request by accident.
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )

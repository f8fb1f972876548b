"""The upstream server as a process of its own: one that shared a process with its clients, or had gateways as its
children, would look busy to a gateway that watches whether a silent server on this machine is at work."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.gateway_faults.upstream import CONTROL, Behaviour, running


@dataclass(frozen=True)
class UpstreamProcess:
    """The running server, and how to steer it from outside."""

    port: int

    async def set_down(self, key: str, down: bool) -> None:
        """Begin or end an outage of one behaviour."""
        await self._steer(f"{key}/{'down' if down else 'up'}")

    async def is_left(self, key: str) -> bool:
        """Whether a caller of one behaviour has hung up in the middle of an answer."""
        return bool((await self._steer(key))["left"])

    async def forget(self) -> None:
        """Begin anew, for another gateway."""
        await self._steer("forget")

    async def _steer(self, path: str) -> dict[str, Any]:
        def get() -> dict[str, Any]:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{CONTROL}/{path}", timeout=10) as answer:
                return dict(json.load(answer))

        return await asyncio.to_thread(get)


@contextmanager
def upstream_process() -> Iterator[UpstreamProcess]:
    """Run the server for as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.gateway_faults.process"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield UpstreamProcess(int(process.stdout.readline()))
        finally:
            process.terminate()


async def serve(behaviours: dict[str, Behaviour]) -> None:
    """Serve until the process is ended."""
    async with running(behaviours) as upstream:
        print(upstream.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    from benchmarks.gateway_faults.faults import all_behaviours

    asyncio.run(serve(all_behaviours()))

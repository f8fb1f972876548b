"""A rehearsal provider in a process of its own, which can be killed and started again at the same address."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx2

from orchestration.clock import Clock
from orchestration.drills.processes import DrillError, DrillProcess
from orchestration.tls import shared_tls_context

_START_SECONDS = 30.0
_ANSWER_SECONDS = 5.0


class RehearsalProcess:
    """One provider of a drill. The calls to a process that was killed are kept."""

    def __init__(self, name: str, folder: Path, latency_ms: float, clock: Clock) -> None:
        self.name = name
        self.url = ""
        self._folder = folder
        self._latency_ms = latency_ms
        self._clock = clock
        self._port = 0
        self._child: DrillProcess | None = None
        self._kept: list[dict[str, Any]] = []

    async def start(self) -> None:
        """Start it, at the address that it had before. Raises DrillError."""
        # A log for each start: in a shared one `wait_for_output` would find the address
        # that the former process printed.
        printed = self._folder / f"{self.name}.{self._clock.now():%H%M%S%f}.log"
        options = ("--port", str(self._port), "--latency-ms", str(self._latency_ms))
        self._child = DrillProcess(("orchestration.rehearsal", *options), self._folder, printed, self._clock)
        self.url = await self._child.wait_for_output("http://", _START_SECONDS)
        self._port = int(self.url.rpartition(":")[2])

    async def kill(self) -> None:
        """Kill it without warning, as `kill -9` does."""
        if self._child is not None:
            # The calls live in the process that is about to die; scoring needs them.
            self._kept = await self.calls()
            self._child.kill()
            self._child = None

    def freeze(self) -> None:
        """Stop it in its tracks: the port accepts connections, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            os.killpg(self._child.pid, number)

    def close(self) -> None:
        """Stop it, whatever it is doing."""
        if self._child is not None:
            self._child.kill()

    async def fault(self, name: str, **order: Any) -> None:
        """Answer requests with a fault; see `docs/reference/rehearsal-provider.md`. Raises DrillError."""
        await self._ask("POST", "/rehearsal/faults", {"fault": name, **order})

    async def end_faults(self) -> None:
        """End all faults. Raises DrillError."""
        await self._ask("DELETE", "/rehearsal/faults")

    async def mend(self) -> None:
        """Start it if it was killed, open its port, and end all faults. Raises DrillError."""
        try:
            await self.end_faults()
        except DrillError:
            # Its port is closed, or its process is gone.
            await self.kill()
            await self.start()

    async def calls(self) -> list[dict[str, Any]]:
        """All model calls so far; while nothing answers, those known from before. A playbook may have started another
        process at this address, so it is asked over HTTP and not through our child process."""
        if not self.url:
            return self._kept
        try:
            answer = await self._ask("GET", "/rehearsal/calls")
        except DrillError:
            return self._kept
        return [*self._kept, *answer["calls"]]

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            # Proxies that the environment names are left out: the provider listens on loopback.
            async with httpx2.AsyncClient(
                verify=shared_tls_context(), timeout=_ANSWER_SECONDS, trust_env=False
            ) as client:
                answer = await client.request(method, self.url + path, json=body)
                answer.raise_for_status()
                return answer.json()
        except httpx2.HTTPError as error:
            raise DrillError(f"expected the provider {self.name} to take orders, got: {error!r}") from error

"""The rehearsal provider as a whole: started, stopped, told to fail."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from orchestration.clock import Clock, SystemClock
from orchestration.errors import ConflictError, UsageError
from orchestration.rehearsal.call_log import CallLog
from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest
from orchestration.rehearsal.fault_registry import FaultRegistry
from orchestration.rehearsal.labels import LOOPBACK

if TYPE_CHECKING:
    from orchestration.rehearsal.listener import LoopbackListener


class RehearsalServer:
    """A provider that needs no key, no network and no model.

    `port` 0 takes any free one; `latency` is in seconds, between two pieces of a stream. Any `host` but 127.0.0.1 is a
    UsageError: whoever reaches the server can set its faults. `answer` replies in the place of the scenes.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = LOOPBACK,
        latency: float = 0.005,
        clock: Clock | None = None,
        answer: Callable[[RehearsalRequest], RehearsalReply] | None = None,
    ) -> None:
        if host != LOOPBACK:
            raise UsageError(f"expected the rehearsal provider on {LOOPBACK}, got {host}; it serves this machine only")
        if not 0 <= port <= 65535:
            raise UsageError(f"expected a port from 0 to 65535, got {port}; 0 takes any free one")
        if not latency >= 0:
            raise UsageError(f"expected a latency of zero or more seconds, got {latency}")
        self._port = port
        self._latency = latency
        self._answer = answer
        self._clock = clock or SystemClock()
        self.faults = FaultRegistry(self._clock)
        self._listener: LoopbackListener | None = None
        self.call_log = CallLog()

    @property
    def url(self) -> str:
        """The address without a path, such as `http://127.0.0.1:40123`; known once started."""
        return f"http://{LOOPBACK}:{self._started().port}"

    async def start(self) -> None:
        """Begin to answer. Raises OrchestratorError when the port is taken."""
        # uvicorn and Starlette are imported this late because commands that never start a
        # server import the package, too.
        from orchestration.rehearsal.application import build_application
        from orchestration.rehearsal.listener import LoopbackListener

        listener = LoopbackListener(self._port, self._clock)
        await listener.open(
            build_application(self._clock, self.faults, self.call_log, listener, self._latency, self._answer)
        )
        # Remembered only once it serves: `url` and `refuse` must not reach a listener whose port was taken.
        self._listener = listener

    async def stop(self) -> None:
        """Cut every connection, also in the middle of an answer, and give the port back."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    def refuse(self, seconds: float) -> None:
        """Close the port for that long: clients see what a stopped provider looks like."""
        self._started().refuse(seconds)

    def _started(self) -> LoopbackListener:
        if self._listener is None:
            raise ConflictError("expected a started rehearsal provider, got one that is not; call start() first")
        return self._listener

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Also when whoever used it is being cancelled: else the port would stay taken.
        with anyio.CancelScope(shield=True):
            await self.stop()

"""The process of a server on this machine, found by the port on which it listens: does it work?

A model that runs here can use up the very processors that would answer a probe. Its processor time tells work from
silence. Where the system does not say whose a port is (another user's process, a container), nothing is known.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import psutil

from orchestration.clock import Clock

# An idle server spends less than that on its timers and on accepting our probes, a working one far more, even where it
# has to share its processor with many.
_WORKING_SHARE = 0.03
# The kernel counts hundredths of a second, and a server needs one to receive a probe that it does not answer.
_LEAST_SECONDS = 0.025
# Runnable but not running: it waits for a processor, or for the disk from which it loads a model.
_AT_WORK = frozenset({psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP})
# Long enough for the kernel to count some ticks of a hundredth of a second.
_GLANCE_SECONDS = 0.3
# To find out whose a port is takes a look at every file that any process has open.
_LOOK_AGAIN_SECONDS = 15.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    # Seconds of processor time by process and its start, so that a number that is used again does not count.
    used: dict[tuple[int, float], float]
    runnable: bool


class ServerProcess:
    """The processes that listen on the port of an address, with their children: Ollama computes in one."""

    def __init__(self, address: str) -> None:
        self._port = _port_of(address)
        self._listeners: tuple[psutil.Process, ...] = ()
        self._looked_at = float("-inf")
        self._last: _Sample | None = None

    @property
    def is_known(self) -> bool:
        """Whether it was found when it was last looked for."""
        return self._last is not None

    def works(self, now: float) -> bool | None:
        """Whether it has used the processor since the last question; None if that is unknown. `now` is monotonic.
        Blocks for some milliseconds."""
        before, self._last = self._last, self._sample(now)
        if self._last is None or before is None:
            return None
        spent = sum(seconds - before.used.get(key, 0.0) for key, seconds in self._last.used.items())
        # Once runnable may be the moment in which it received a probe; one that is at work and starved is always so.
        starved = before.runnable and self._last.runnable
        return starved or spent > max(_LEAST_SECONDS, _WORKING_SHARE * (now - before.at))

    def _sample(self, now: float) -> _Sample | None:
        used: dict[tuple[int, float], float] = {}
        runnable = False
        for process in self._family(now):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used[process.pid, process.create_time()] = times.user + times.system
                runnable = runnable or process.status() in _AT_WORK
        return _Sample(now, used, runnable) if used else None

    def _family(self, now: float) -> Iterator[psutil.Process]:
        gone = not self._listeners or not all(process.is_running() for process in self._listeners)
        if self._port and gone and now - self._looked_at >= _LOOK_AGAIN_SECONDS:
            self._listeners, self._looked_at = tuple(_listeners(self._port)), now
        for process in self._listeners:
            yield process
            with contextlib.suppress(psutil.Error):
                yield from process.children(recursive=True)


async def works_now(address: str, clock: Clock) -> bool | None:
    """Whether the process of a server on this machine is using the processor now; None if that is unknown."""
    server = ServerProcess(address)
    await anyio.to_thread.run_sync(server.works, clock.monotonic())
    if not server.is_known:
        return None
    await anyio.sleep(_GLANCE_SECONDS)
    return await anyio.to_thread.run_sync(server.works, clock.monotonic())


def _listeners(port: int) -> Iterator[psutil.Process]:
    try:
        # Linux names the owners of sockets that belong to the user, and all of them to root; macOS only the latter.
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return
    owners = {one.pid for one in found if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port}
    # A server inside our own process would be measured by what we do ourselves.
    for pid in owners - {None, os.getpid()}:
        with contextlib.suppress(psutil.Error):
            yield psutil.Process(pid)


def _port_of(address: str) -> int | None:
    try:
        parts = urlsplit(address)
        return parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None

"""A contender's process: in a session of its own, with the time of every line that it prints."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from benchmarks.drilled.counting import Line
from orchestration.clock import Clock

_LINE_BYTES = 1_000_000


class Process:
    """One life of a contender. Lines are added to the list that it was given, so that several lives make one log."""

    def __init__(self, running: asyncio.subprocess.Process, lines: list[Line], clock: Clock) -> None:
        self._running = running
        self._lines = lines
        self._clock = clock
        self._done = False
        streams = (running.stdout, running.stderr)
        self._readers = [asyncio.create_task(self._read(stream)) for stream in streams if stream is not None]

    @classmethod
    async def start(
        cls, command: tuple[str, ...], folder: Path, environment: Mapping[str, str], lines: list[Line], clock: Clock
    ) -> Process:
        """Start it."""
        running = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,
        )
        return cls(running, lines, clock)

    @property
    def done(self) -> bool:
        """Whether it has said that the job is done."""
        return self._done

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._running.returncode is not None

    async def kill(self) -> None:
        """What `kill -9` does, to it and to what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)
        await self._running.wait()
        await asyncio.gather(*self._readers)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while text := (await stream.readline()).decode(errors="replace"):
            if text.startswith('{"done": true}'):
                self._done = True
            elif text.strip():
                self._lines.append(Line(self._clock.now().timestamp(), text.rstrip()))

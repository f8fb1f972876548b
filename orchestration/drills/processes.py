"""The processes of a drill: each in a session of its own, with its output in a file, and certainly ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen

import psutil

import orchestration
from orchestration.clock import Clock
from orchestration.errors import OrchestratorError

# The folder of a drill's project that holds its own programs.
PROGRAMS = "bin"
# Nothing else is passed on: a real API key in the environment would let a drill reach a real provider.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
# An environment variable is inherited by every descendant, also by one that left the session and the process group.
_MARK = "ORCHESTRATOR_DRILL"
_POLL_SECONDS = 0.05
# Longer than the control process takes to stop its workers in a drill (`workerStopSeconds` is 2).
_GRACE_SECONDS = 15.0


class DrillError(OrchestratorError):
    """A drill cannot be run: what it needs did not start, or did not get as far as the fault."""


def process_environment(folder: Path | None = None) -> dict[str, str]:
    """The environment variables of a drill's processes: enough to run, and no credentials. With the drill's `folder`,
    its own programs come first on the PATH, and its processes can be recognised."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    found = {**passed, "PYTHONPATH": str(Path(orchestration.__file__).parents[1])}
    if folder is not None:
        path = os.pathsep.join((str(folder / PROGRAMS), os.environ.get("PATH", os.defpath)))
        found |= {"PATH": path, _MARK: str(folder)}
    return found


def all_of(folder: Path) -> list[psutil.Process]:
    """Every process that carries the mark of a drill's folder, also those that outlived their parents."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(_MARK) == str(folder):
                found.append(process)
    return found


def kill_all_of(folder: Path) -> None:
    """Kill every process that carries the mark of a drill's folder."""
    for process in all_of(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()


class DrillProcess:
    """One process, which runs in the drill's folder."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        printed: Path,
        clock: Clock,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = clock
        self._printed = printed
        with printed.open("ab") as output:
            self._process = Popen(  # noqa: S603 (our own program)
                (sys.executable, "-m", *arguments),
                cwd=folder,
                env=process_environment(folder) | dict(variables or {}),
                # A program that asks for input reads its end at once, instead of waiting at the operator's terminal.
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._printed.read_text(encoding="utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    async def wait_for_output(self, text: str, seconds: float) -> str:
        """Wait until it has printed a text; returns the line. Raises DrillError."""
        end = self._clock.monotonic() + seconds
        while True:
            found = next((line for line in self.output.splitlines() if text in line), None)
            if found is not None:
                return found
            if self.ended or self._clock.monotonic() > end:
                raise DrillError(f"expected '{text}' of a process within {seconds:g} s, got: {self.output[-500:]}")
            await self._clock.sleep(_POLL_SECONDS)

    async def wait(self, seconds: float) -> int:
        """Wait for its exit code. Raises DrillError if it does not end in time."""
        end = self._clock.monotonic() + seconds
        while (code := self._process.poll()) is None:
            if self._clock.monotonic() > end:
                raise DrillError(f"expected a process to end within {seconds:g} s, and it did not")
            await self._clock.sleep(_POLL_SECONDS)
        return code

    def kill(self) -> None:
        """Send SIGKILL to the process and to everything in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Its session leader is the group leader too, so this reaches workers whose parent has died already.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, then make sure of it."""
        try:
            if not self.ended:
                self._process.terminate()
                with contextlib.suppress(DrillError):
                    await self.wait(_GRACE_SECONDS)
        finally:
            # Also after an orderly end: what the process had started may have outlived it.
            self.kill()

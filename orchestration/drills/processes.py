"""The processes of a drill: each in a session of its own, with what it prints in a file, and surely ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

import orchestration
from orchestration.clock import Clock
from orchestration.errors import OrchestratorError

# Where a drill's project has its own programs.
PROGRAMS = "bin"
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
_MARK = "ORCHESTRATOR_DRILL"
_LOOK_SECONDS = 0.05
_GRACE_SECONDS = 15.0


class DrillError(OrchestratorError):
    """A drill cannot be held: what it needs did not start, or did not get as far as the fault."""


def process_environment(folder: Path | None = None) -> dict[str, str]:
    """What the processes of a drill find: enough to run, and none of the credentials of whoever holds it. With the
    drill's `folder`, its programs are found before all others, and what is started can be known by it."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    found = {**passed, "PYTHONPATH": str(Path(orchestration.__file__).parents[1])}
    if folder is not None:
        path = os.pathsep.join((str(folder / PROGRAMS), os.environ.get("PATH", os.defpath)))
        found |= {"PATH": path, _MARK: str(folder)}
    return found


def kill_all_of(folder: Path) -> None:
    """Kill what a drill's processes have started to outlive them: whatever carries the mark of its folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(_MARK) == str(folder):
                process.kill()


class DrillProcess:
    """One process. `folder` is where it works, the drill's own."""

    def __init__(self, arguments: Sequence[str], folder: Path, printed: Path, clock: Clock) -> None:
        self._clock = clock
        self._printed = printed
        with printed.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                (sys.executable, "-m", *arguments),
                cwd=folder,
                env=process_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
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
            await self._clock.sleep(_LOOK_SECONDS)

    async def wait(self, seconds: float) -> int:
        """Its exit code, when it has ended. Raises DrillError when it does not."""
        end = self._clock.monotonic() + seconds
        while (code := self._process.poll()) is None:
            if self._clock.monotonic() > end:
                raise DrillError(f"expected a process to end within {seconds:g} s, and it did not")
            await self._clock.sleep(_LOOK_SECONDS)
        return code

    def kill(self) -> None:
        """What `kill -9` does, to it and to what it has started in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, and see to it."""
        try:
            if not self.ended:
                self._process.terminate()
                with contextlib.suppress(DrillError):
                    await self.wait(_GRACE_SECONDS)
        finally:
            self.kill()

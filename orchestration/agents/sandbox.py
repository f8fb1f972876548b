"""Commands and the user's own Python, in processes of their own with limits, that can always be stopped.

Limits are on time, memory, processor time, output and file size. The memory limit watches what the processes really
hold: a limit on address space (RLIMIT_AS) breaks programs that only reserve much. The network is not cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil

from orchestration.clock import Clock, SystemClock
from orchestration.errors import OrchestratorError

_KEEPER = Path(__file__).with_name("keeper.py")
_CALLER = Path(__file__).with_name("caller.py")
_WATCH_SECONDS = 0.2
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "VIRTUAL_ENV")

OutputCallback = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a command may use. `output_bytes` are kept; the rest is read and thrown away."""

    seconds: float = 300.0
    memory_mb: int = 2048
    cpu_seconds: int = 600
    output_bytes: int = 200_000
    file_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. `exit_code` is negative for a signal, None when it was stopped; `stopped` says why."""

    exit_code: int | None
    output: str
    truncated: bool
    seconds: float
    stopped: str | None = None

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class OwnCodeError(OrchestratorError):
    """The user's own function failed, or was stopped."""


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command finds in its environment: enough to run, and none of our secrets."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


async def run(
    command: Sequence[str],
    cwd: Path,
    limits: SandboxLimits,
    *,
    extra_environment: Mapping[str, str] | None = None,
    on_output: OutputCallback | None = None,
    clock: Clock | None = None,
) -> CommandResult:
    """Run a command to its end, or until a limit is reached or the caller is cancelled; nothing of it is left then."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as home:
        variables = environment(Path(home), extra_environment)
        return await _Command(limits, on_output, clock or SystemClock()).run(command, cwd, variables)


class _Command:
    """One command while it runs."""

    def __init__(self, limits: SandboxLimits, on_output: OutputCallback | None, clock: Clock) -> None:
        self._limits = limits
        self._on_output = on_output
        self._clock = clock
        self._output = bytearray()
        self._seen = 0

    async def run(self, command: Sequence[str], cwd: Path, variables: dict[str, str]) -> CommandResult:
        started = self._clock.monotonic()
        status, told = os.pipe()
        settings = {
            "cpu_seconds": self._limits.cpu_seconds,
            "file_bytes": self._limits.file_bytes,
            "status_fd": told,
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_KEEPER), json.dumps(settings), *command),
                cwd=cwd,
                env=variables,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(told,),
                start_new_session=True,
            )
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(told)
        with os.fdopen(status, "rb") as verdict:
            stopped = await self._watch(process)
            text = verdict.read()
        code = int(text) if text and stopped is None else None
        output = self._output[: self._limits.output_bytes].decode("utf-8", "replace")
        truncated = self._seen > self._limits.output_bytes
        if truncated:
            output += f"\n[… {self._seen - self._limits.output_bytes:,} more bytes were cut]"
        return CommandResult(code, output, truncated, self._clock.monotonic() - started, stopped)

    async def _watch(self, process: asyncio.subprocess.Process) -> str | None:
        """Wait for the end; returns why the command was stopped, None when it ended by itself."""
        reading = asyncio.create_task(self._read(process))
        guarding = asyncio.create_task(self._guard(process.pid))
        ending = asyncio.create_task(process.wait())
        stopped: str | None = None
        try:
            async with asyncio.timeout(self._limits.seconds):
                await asyncio.wait({ending, guarding}, return_when=asyncio.FIRST_COMPLETED)
            if guarding.done():
                stopped = guarding.result()
        except TimeoutError:
            stopped = f"it took longer than {self._limits.seconds:g} s"
        finally:
            guarding.cancel()
            if process.stdin is not None:
                process.stdin.close()  # tells the keeper to end everything
            with anyio.CancelScope(shield=True):
                await ending
                await reading
        return stopped

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Read what the command prints until it and all it started have closed their end."""
        if process.stdout is None:
            return
        said = float("-inf")
        while data := await process.stdout.read(65_536):
            self._seen += len(data)
            if len(self._output) < self._limits.output_bytes:
                self._output += data[: self._limits.output_bytes - len(self._output)]
            now = self._clock.monotonic()
            if self._on_output is not None and now - said >= 0.25:
                said = now
                self._on_output(self._seen)

    async def _guard(self, keeper: int) -> str:
        """Return when the processes together use more memory or processor time than they may."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            memory, cpu = _use_of(keeper)
            if memory > self._limits.memory_mb * 1_048_576:
                return f"it used more than {self._limits.memory_mb} MB of memory"
            if cpu > self._limits.cpu_seconds:
                return f"it used more than {self._limits.cpu_seconds} s of processor time"


def _use_of(keeper: int) -> tuple[int, float]:
    """Resident bytes and processor seconds of all processes below the keeper."""
    memory, cpu = 0, 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(keeper).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                memory += process.memory_info().rss
                times = process.cpu_times()
                cpu += times.user + times.system
    return memory, cpu


async def call_python(
    entry_point: str,
    payload: Any,
    cwd: Path,
    limits: SandboxLimits,
    *,
    on_output: OutputCallback | None = None,
) -> Any:
    """Call the user's own `module:function` with JSON, in a process of its own; returns what it returned, as JSON.

    Raises OwnCodeError when it fails or has to be stopped.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-call-") as folder:
        given, result = Path(folder, "given.json"), Path(folder, "result.json")
        given.write_text(json.dumps(payload))
        command = (sys.executable, str(_CALLER), entry_point, str(given), str(result))
        ended = await run(
            command, cwd, limits, extra_environment={"PYTHONPATH": os.pathsep.join(sys.path)}, on_output=on_output
        )
        if ended.stopped is not None:
            raise OwnCodeError(f"{entry_point} was stopped: {ended.stopped}")
        if not result.exists():
            raise OwnCodeError(f"{entry_point} failed (exit code {ended.exit_code}): {ended.output[-2000:].strip()}")
        return json.loads(result.read_text())

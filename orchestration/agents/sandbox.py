"""Commands and the user's own Python, in processes of their own with limits, that can always be stopped.

Limits are on time, memory, processor time, processes, output, the size of a file and everything that is written to
disk; `sandbox_init.py` keeps them. The memory limit watches what the processes really hold: a limit on address space
(RLIMIT_AS) breaks programs that only reserve much.
`isolation.py` says what they can reach.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import psutil

from orchestration.agents import network_gate
from orchestration.agents.network_gate import HostUse, NetworkGate
from orchestration.clock import Clock, SystemClock
from orchestration.declarations.child import VARIABLE
from orchestration.domain.host_rule import HostRule
from orchestration.errors import OrchestratorError

_INIT = Path(__file__).with_name("sandbox_init.py")
_ISOLATION = Path(__file__).with_name("isolation.py")
_FUNCTION_HOST = Path(__file__).with_name("function_host.py")
# How long the init process may need to end everything. If it needs longer, its command has stopped it, and it is
# killed.
_INIT_SECONDS = 0.9
# How long to wait for the rest of the output once the command has ended.
_PIPE_SECONDS = 2.0
# The result is stored as a checkpoint and sent to the next agent.
MOST_RESULT_BYTES = 5_000_000
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "VIRTUAL_ENV")

OutputCallback = Callable[[str], None]
"""Receives each part of a command's output as it comes."""

Serve = Callable[[socket.socket], Coroutine[Any, Any, None]]
"""Serves on a listening socket until cancelled."""


@dataclass(frozen=True, slots=True)
class IsolationRules:
    """What a command may reach: it can change only its folder, a home of its own and what is `writable`; what is
    `hidden` appears empty to it, except for folders in there that are `kept`; and it has the network, or the `hosts` of
    it, or nothing. If the kernel cannot do all of this, the command runs with what the kernel can do, unless everything
    is `required`."""

    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    network: bool = False
    hosts: tuple[HostRule, ...] = ()
    required: bool = False

    def settings(self, *own: Path) -> list[str]:
        """The settings for the init process of a command that owns these folders."""
        return [
            "isolated=yes",
            *(f"writable={path}" for path in (*own, *self.writable)),
            *(f"hidden={path}" for path in self.hidden),
            *(f"kept={path}" for path in self.kept),
            *(["network=yes"] if self.network else []),
            *(["required=yes"] if self.required else []),
        ]


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a command may use, together with all that it starts. Of output beyond `output_bytes`, the middle is
    discarded. Without isolation it reaches whatever we reach. `variables` are added to its environment."""

    seconds: float = 300.0
    memory_mb: int = 2048
    cpu_seconds: int = 600
    output_bytes: int = 200_000
    file_bytes: int = 1 << 30
    disk_bytes: int = 1 << 32
    files: int = 1_000_000
    processes: int = 512
    isolation: IsolationRules | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def describe(self, name: str) -> str:
        """The sentence for a limit that was reached, by its name in the init process."""
        return {
            "seconds": f"it took longer than {self.seconds:g} s",
            "memory_bytes": f"it used more than {self.memory_mb} MB of memory",
            "cpu_seconds": f"it used more than {self.cpu_seconds} s of processor time",
            "file_bytes": f"it wrote a file of more than {self.file_bytes:,} bytes",
            "disk_bytes": f"it wrote more than {self.disk_bytes:,} bytes to disk",
            "files": f"it created more than {self.files:,} files",
            "processes": f"it started more than {self.processes} processes",
        }[name]


@dataclass(frozen=True, slots=True)
class CommandConnections:
    """What a command is connected with, beside its output.

    It reads `standard_input`, if there is one. `serve` serves it on a port of its own loopback, whatever its network;
    `{port}` in the variables `port_in` becomes the number. With `on_errors`, its standard error is kept apart.
    """

    standard_input: Path | None = None
    serve: Serve | None = None
    port_in: tuple[str, ...] = ()
    on_errors: OutputCallback | None = None

    @contextlib.contextmanager
    def opened_input(self) -> Iterator[int | None]:
        """The standard input as a file descriptor, for as long as the block lasts."""
        if self.standard_input is None:
            yield None
            return
        with self.standard_input.open("rb") as file:
            yield file.fileno()

    def settings(self, channel: int | None, given: int | None) -> list[str]:
        """The settings for the init process: the channel through which it hands the port over, and what the command
        reads."""
        served = [] if channel is None else [f"listen_fd={channel}", *(f"port_in={name}" for name in self.port_in)]
        return served if given is None else [*served, f"input_fd={given}"]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. `exit_code` is negative for a signal, None when it was stopped; `stopped` says why.
    `lost` if its supervisor was killed: by the command itself, or by the kernel for want of memory. `errors` is its
    standard error where that was kept apart; `hosts` are those that it has reached for, where it may reach some."""

    exit_code: int | None
    output: str
    truncated: bool
    seconds: float
    stopped: str | None = None
    lost: bool = False
    errors: str = ""
    hosts: tuple[HostUse, ...] = ()

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def was_killed(self) -> bool:
        """Whether it ended by no doing of its own: where memory is short, the kernel kills whatever it finds."""
        return self.lost or (self.stopped is None and self.exit_code == -signal.SIGKILL)


class HeadAndEnd:
    """Bytes of which at most so many are kept: the first half and the last, where a test run has its verdict."""

    def __init__(self, at_most: int) -> None:
        self.seen = 0
        self._half = at_most // 2
        self._whole = at_most
        self._head = bytearray()
        self._end = bytearray()

    @property
    def cut(self) -> int:
        """How many bytes were discarded."""
        return max(0, self.seen - self._whole)

    def add(self, data: bytes) -> None:
        """Take more bytes."""
        self.seen += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._end += data
        kept = self._whole - self._half
        # Trimmed only now and then, since each time moves all of it.
        if len(self._end) > 2 * kept + 65_536:
            del self._end[: len(self._end) - kept]

    def text(self) -> str:
        """What is kept; where something was discarded it says so."""
        end = bytes(self._end[-(self._whole - self._half) :])
        if not self.cut:
            return bytes(self._head + end).decode("utf-8", "replace")
        head = self._head.decode("utf-8", "replace")
        return f"{head}\n[… {self.cut:,} bytes in the middle were cut]\n{end.decode('utf-8', 'replace')}"


def init_command(
    command: Sequence[str], limits: SandboxLimits, cwd: Path, home: Path, status_fd: int, *more: str
) -> tuple[str, ...]:
    """The command line of the init process that runs a command in a folder with these limits; `more` are further
    settings. Its standard input has to be a pipe: when that closes, everything ends."""
    settings = [
        f"seconds={limits.seconds}",
        f"memory_bytes={limits.memory_mb * 1_048_576}",
        f"cpu_seconds={limits.cpu_seconds}",
        f"file_bytes={limits.file_bytes}",
        f"disk_bytes={limits.disk_bytes}",
        f"files={limits.files}",
        f"processes={limits.processes}",
        f"status_fd={status_fd}",
        *(limits.isolation.settings(cwd, home) if limits.isolation else ()),
        *more,
    ]
    return (sys.executable, "-I", "-S", str(_INIT), *settings, "--", *command)


class OwnCodeError(OrchestratorError):
    """The user's own function failed or was stopped."""


class OwnCodeTimeError(OwnCodeError):
    """The user's own function did not end within its time."""


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: enough to run, and none of our secrets."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # A home of its own, because `.netrc`, `.pypirc` and the like in the user's hold credentials.
    return {**passed, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


def supervises(command_line: Sequence[str]) -> bool:
    """Whether this is the command line of an init process: whatever descends from it is an agent's command."""
    return str(_INIT) in command_line[:4]


async def isolation_gaps(folder: Path) -> str:
    """What this machine does not let a command be isolated from, separated by commas; empty for nothing."""
    probed = await run((sys.executable, "-I", "-S", str(_ISOLATION)), folder, SandboxLimits(seconds=10))
    return probed.output if probed.ok else "everything"


async def run(
    command: Sequence[str],
    cwd: Path,
    limits: SandboxLimits,
    *,
    extra_environment: Mapping[str, str] | None = None,
    on_output: OutputCallback | None = None,
    clock: Clock | None = None,
    connections: CommandConnections | None = None,
) -> CommandResult:
    """Run a command until it ends, reaches a limit, or the caller is cancelled. No process of it is left after that."""
    isolation, variables = limits.isolation, {**limits.variables, **(extra_environment or {})}
    gate: NetworkGate | None = None
    # A command that is served has its way out of the room already.
    if isolation is not None and isolation.hosts and not isolation.network and connections is None:
        gate = NetworkGate(isolation.hosts)
        connections = CommandConnections(serve=gate.serve, port_in=network_gate.ADDRESS_VARIABLES)
        variables |= network_gate.variables()
    async with _folder("orchestrator-") as home:
        own = _Command(limits, on_output, clock or SystemClock(), connections or CommandConnections())
        result = await own.run(command, cwd, environment(home, variables))
    return result if gate is None else replace(result, hosts=gate.uses)


class _Command:
    """One command while it runs."""

    def __init__(
        self, limits: SandboxLimits, on_output: OutputCallback | None, clock: Clock, connections: CommandConnections
    ) -> None:
        self._limits = limits
        self._on_output = on_output
        self._clock = clock
        self._connections = connections
        self._output = HeadAndEnd(limits.output_bytes)
        self._errors = HeadAndEnd(limits.output_bytes)

    async def run(self, command: Sequence[str], cwd: Path, variables: dict[str, str]) -> CommandResult:
        started = self._clock.monotonic()
        status, told = os.pipe()
        with os.fdopen(status, "rb") as verdict, self._channel() as (near, far):
            try:
                process = await self._start(command, cwd, variables, told, None if far is None else far.fileno())
            finally:
                # Our copies have to go: while they are open, the other end never learns that the init process has died.
                os.close(told)
                if far is not None:
                    far.close()
            async with self._serving(near):
                said = await self._watch(process, verdict, variables["HOME"])
        stopped = said.get("stopped")
        if not said:
            reason: str | None = "it killed the process that supervises it"
        else:
            reason = None if stopped is None else self._limits.describe(stopped)
        code = said.get("code") if reason is None else None
        output, took = self._output, self._clock.monotonic() - started
        return CommandResult(code, output.text(), output.cut > 0, took, reason, not said, self._errors.text())

    @contextlib.contextmanager
    def _channel(self) -> Iterator[tuple[socket.socket | None, socket.socket | None]]:
        """A pair of connected sockets, through which the init process hands over the port to serve on; if one is."""
        if self._connections.serve is None:
            yield None, None
            return
        near, far = socket.socketpair()
        with near, far:
            yield near, far

    @contextlib.asynccontextmanager
    async def _serving(self, near: socket.socket | None) -> AsyncIterator[None]:
        """Serve the command for as long as the block lasts."""
        if near is None or self._connections.serve is None:
            yield
            return
        task = asyncio.create_task(_serve(near, self._connections.serve))
        try:
            yield
        finally:
            task.cancel()
            await to_its_end(_ended(task))

    async def _start(
        self, command: Sequence[str], cwd: Path, variables: dict[str, str], told: int, channel: int | None
    ) -> asyncio.subprocess.Process:
        apart = self._connections.on_errors is not None
        with self._connections.opened_input() as given:
            settings = self._connections.settings(channel, given)
            return await asyncio.create_subprocess_exec(
                *init_command(command, self._limits, cwd, Path(variables["HOME"]), told, *settings),
                cwd=cwd,
                env=variables,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE if apart else asyncio.subprocess.STDOUT,
                pass_fds=tuple(one for one in (told, channel, given) if one is not None),
                # Ctrl-C in a terminal goes to the whole process group. The command must not get it before the init
                # process ends it in order.
                start_new_session=True,
            )

    async def _watch(self, process: asyncio.subprocess.Process, verdict: BinaryIO, home: str) -> dict[str, Any]:
        """Wait for the end of the command; if cancelled, end it now.

        Returns the report of the init process, without a `code` if that process was itself killed.
        """
        reading = asyncio.gather(
            _read(process.stdout, self._output, self._on_output),
            _read(process.stderr, self._errors, self._connections.on_errors),
        )
        said: dict[str, Any] = {}
        try:
            await readable(verdict, self._limits.seconds + _INIT_SECONDS)
        finally:
            if process.stdin is not None:
                process.stdin.close()  # tells the init process to end everything

            async def finish() -> None:
                said.update(await self._verdict(process, verdict))
                if "code" not in said:
                    await asyncio.to_thread(_kill_all_of, home)
                await _close(process, reading)

            await to_its_end(finish())
        return said

    async def _verdict(self, process: asyncio.subprocess.Process, verdict: BinaryIO) -> dict[str, Any]:
        """The report of the init process. There is none if its command has killed or stopped it."""
        if not await readable(verdict, _INIT_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return {"stopped": "seconds"}
        code, _, stopped = verdict.read().decode().partition(" ")
        return {"code": int(code), "stopped": stopped or None} if code else {}


async def _read(stream: asyncio.StreamReader | None, kept: HeadAndEnd, callback: OutputCallback | None) -> None:
    """Read an output until the command and everything it started have closed their end of the pipe."""
    if stream is None:
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := await stream.read(65_536):
        kept.add(data)
        if callback is not None:
            callback(decoder.decode(data))


async def _serve(near: socket.socket, serve: Serve) -> None:
    """Serve on the port that the init process hands over; it may have died before that."""
    near.setblocking(False)
    if not await readable(near, _INIT_SECONDS + _PIPE_SECONDS):
        return
    _, handles, _, _ = socket.recv_fds(near, 1, 1)
    for handle in handles:
        with socket.socket(fileno=handle) as listening:
            await serve(listening)


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for the end of a task that was cancelled. Raises what it has raised."""
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def readable(stream: BinaryIO | socket.socket, seconds: float | None) -> bool:
    """Wait until there is something to read or the other end is closed; False if the time runs out first."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(stream.fileno(), event.set)
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(stream.fileno())
    return True


async def _close(process: asyncio.subprocess.Process, reading: asyncio.Future[Any]) -> None:
    """Wait until all output is read, but not forever: a process that escaped a killed init may keep the pipe open."""
    ending = asyncio.create_task(process.wait())
    _, unfinished = await asyncio.wait({reading, ending}, timeout=_PIPE_SECONDS)
    if unfinished:
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 (there is no public way)
        await asyncio.wait({reading, ending})


@contextlib.asynccontextmanager
async def _folder(prefix: str) -> AsyncIterator[Path]:
    """A temporary folder for as long as the block lasts, removed in a thread: a command may leave much in it."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield path
    finally:
        await _at_once(partial(shutil.rmtree, path, ignore_errors=True))


async def _at_once(function: Callable[[], object]) -> None:
    """Run a blocking function in a thread, to its end even if cancelled."""
    await to_its_end(asyncio.to_thread(function))


async def to_its_end(work: Coroutine[Any, Any, object]) -> None:
    """Finish work of bounded length even if cancelled, once or repeatedly; then raise the cancellation."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


def _kill_all_of(home: str) -> None:
    """Kill every process with this home directory, which identifies the processes of a command that has killed its
    init process."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("HOME") == home:
                process.kill()


def own_code_environment(python_path: Sequence[str]) -> dict[str, str]:
    """The variables of a process that imports a function of the user's."""
    # Without the empty name, which stands for the working folder: that may be one in which an agent can write modules.
    folders = [*python_path, *filter(None, sys.path)]
    return {"PYTHONPATH": os.pathsep.join(folders), VARIABLE: "yes"}


async def call_python(
    entry_point: str,
    payload: Any,
    cwd: Path,
    limits: SandboxLimits,
    *,
    on_output: OutputCallback | None = None,
    python_path: Sequence[str] = (),
    connections: CommandConnections | None = None,
) -> Any:
    """Call the user's own `module:function` with JSON in a process of its own; returns its result as JSON. It is
    imported from `cwd`, or from `python_path`.

    Raises OwnCodeError if it fails or has to be stopped.
    """
    async with _folder("orchestrator-call-") as folder:
        given, result = folder / "given.json", folder / "result.json"
        given.write_text(json.dumps(payload))
        command = (sys.executable, str(_FUNCTION_HOST), entry_point, str(given), str(result))
        ended = await run(
            command,
            cwd,
            limits,
            extra_environment=own_code_environment(python_path),
            on_output=on_output,
            connections=connections,
        )
        if ended.stopped is not None:
            kind = OwnCodeTimeError if ended.stopped == limits.describe("seconds") else OwnCodeError
            raise kind(f"{entry_point} was stopped: {ended.stopped}")
        if not result.is_file():
            raise OwnCodeError(f"{entry_point} failed (exit code {ended.exit_code}): {ended.output[-2000:].strip()}")
        if (size := result.stat().st_size) > MOST_RESULT_BYTES:
            raise OwnCodeError(
                f"{entry_point} returned {size:,} bytes of JSON; at most {MOST_RESULT_BYTES:,} are allowed. "
                "Let it write a file instead"
            )
        return json.loads(result.read_text())

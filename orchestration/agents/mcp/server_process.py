"""A server that is a command: it runs isolated like an agent's commands, and speaks over its standard streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from orchestration.agents import sandbox
from orchestration.agents.sandbox import SandboxLimits

# Far more than any answer that a model could read; a server that sends more is broken or hostile.
MOST_MESSAGE_BYTES = 4 * 1024 * 1024
_ENDING_SECONDS = 2.0
_KEPT_LINES = 20


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What to run, where, with which variables and limits."""

    words: Sequence[str]
    folder: Path
    variables: Mapping[str, str]
    limits: SandboxLimits


class McpProcess:
    """The process while it runs. `complaints` are the last lines that it wrote to its standard error."""

    def __init__(self) -> None:
        self.complaints: deque[str] = deque(maxlen=_KEPT_LINES)
        self.problem = ""

    @asynccontextmanager
    async def streams(self, command: ServerCommand) -> AsyncGenerator[TransportStreams, None]:
        """The transport for the SDK's client, for as long as the block lasts. Raises OSError if it cannot start."""
        home = Path(tempfile.mkdtemp(prefix="orchestrator-mcp-"))
        try:
            async with self._running(command, home) as (process, writer):
                incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
                outgoing, sent = anyio.create_memory_object_stream[SessionMessage](0)
                async with anyio.create_task_group() as group, received, outgoing:
                    group.start_soon(self._read, process, incoming)
                    group.start_soon(self._listen, process)
                    group.start_soon(self._write, writer, sent, incoming)
                    try:
                        yield received, outgoing
                    finally:
                        group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(home, ignore_errors=True))

    @asynccontextmanager
    async def _running(
        self, command: ServerCommand, home: Path
    ) -> AsyncGenerator[tuple[asyncio.subprocess.Process, asyncio.StreamWriter], None]:
        starting = asyncio.ensure_future(_start(command, home))
        try:
            process, writer, status = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # It may be there by now, and nobody else would end it.
            await sandbox.to_its_end(_end_unused(starting))
            raise
        try:
            yield process, writer
        finally:
            await sandbox.to_its_end(_end(process, writer))
            self._explain(status, command.limits)

    def _explain(self, status: int, limits: SandboxLimits) -> None:
        """Say which limit the server has reached, if it was one."""
        with os.fdopen(status, "rb") as verdict:
            _, _, stopped = verdict.read().decode().partition(" ")
        self.problem = self.problem or (limits.describe(stopped) if stopped else "")

    async def _read(
        self,
        process: asyncio.subprocess.Process,
        incoming: anyio.abc.ObjectSendStream[SessionMessage | Exception],
    ) -> None:
        """Hand on one message for each line, until the server ends or breaks the rules."""
        assert process.stdout is not None  # noqa: S101 (it was asked for)
        async with incoming:
            while True:
                try:
                    line = await process.stdout.readline()
                except ValueError:
                    self.problem = f"it sent a message of more than {MOST_MESSAGE_BYTES:,} bytes"
                    return
                if not line:
                    return
                with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                    await incoming.send(_message(line))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 (it was asked for)
        while data := await process.stderr.read(65_536):
            self.complaints.extend(data.decode("utf-8", "replace").splitlines()[-_KEPT_LINES:])

    async def _write(
        self,
        writer: asyncio.StreamWriter,
        sent: anyio.abc.ObjectReceiveStream[SessionMessage],
        incoming: anyio.abc.ObjectSendStream[SessionMessage | Exception],
    ) -> None:
        async with sent:
            try:
                async for one in sent:
                    writer.write(one.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await writer.drain()
            except (OSError, RuntimeError):
                await incoming.aclose()  # so that a request that waits learns of it


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except (ValueError, RecursionError) as error:
        return error


async def _end_unused(
    starting: asyncio.Future[tuple[asyncio.subprocess.Process, asyncio.StreamWriter, int]],
) -> None:
    with contextlib.suppress(OSError):
        process, writer, status = await starting
        await _end(process, writer)
        os.close(status)


async def _start(command: ServerCommand, home: Path) -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter, int]:
    """Start the server; returns its process, the way to its standard input, and where its end is reported."""
    read_end, write_end = os.pipe()
    status, told = os.pipe()
    given = f"input_fd={read_end}"
    try:
        process = await asyncio.create_subprocess_exec(
            *sandbox.init_command(command.words, command.limits, command.folder, home, told, given),
            cwd=command.folder,
            env=sandbox.environment(home, command.variables),
            # When this closes, the init process ends everything.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(told, read_end),
            start_new_session=True,
            limit=MOST_MESSAGE_BYTES,
        )
    except BaseException:
        os.close(write_end)
        os.close(status)
        raise
    finally:
        os.close(read_end)
        os.close(told)
    return process, await _writer(write_end), status


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(descriptor, "wb"))
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def _end(process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
    """End the server with everything that it has started."""
    if not writer.transport.is_closing():  # of a server that is gone it is closed, and cannot be aborted once more
        writer.transport.abort()
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_ENDING_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

"""A connection to one server, which is made anew, with growing pauses, whenever it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import httpx2
from mcp import Client, MCPError
from mcp.client._transport import TransportStreams
from mcp_types import CONNECTION_CLOSED, CallToolResult, Implementation
from pydantic import ValidationError

from orchestration.agents.mcp.inspection import ForeignTool
from orchestration.agents.mcp.transport import AnswerTooLargeError, guarded
from orchestration.backoff import delay

# Servers that are installed by their first start, by `npx` or `uvx`, take their time.
_CONNECT_SECONDS = 60.0
_LIST_SECONDS = 20.0
# Longer than a sound server takes to end.
_CLOSING_SECONDS = 1.0
# Longer than the process of a server has to end.
_EXPLANATION_SECONDS = 4.0
# What a server may offer at most; a list that never ends is one of the attacks.
_MOST_TOOLS = 200
_MOST_PAGES = 20
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_TRUSTED = 4
# A connection that held for so long was sound: the next failure is a new one.
_SOUND_SECONDS = 60.0
_CLIENT = Implementation(name="agent-orchestration", version="1")


class ServerDownError(Exception):
    """The server cannot be reached, or has just died; `asked` if it had got the request before that."""

    def __init__(self, problem: str, *, asked: bool = False) -> None:
        super().__init__(problem)
        self.asked = asked


class HealthListener(Protocol):
    """Receives how a server is, when that changes."""

    def __call__(self, problem: str) -> None:
        """Say what is wrong; nothing if it is well again."""


class ConnectionAttempt(Protocol):
    """One try to reach the server."""

    def streams(self) -> AbstractAsyncContextManager[TransportStreams]:
        """The transport."""

    def explanation(self) -> str:
        """What is known of its end; empty for nothing."""


class McpConnection:
    """Held by a task of its own, from the first use to `close`."""

    def __init__(self, attempt: Callable[[], ConnectionAttempt], on_health: HealthListener) -> None:
        self._attempt = attempt
        self._on_health = on_health
        self._client: Client | None = None
        self._settled = asyncio.Event()  # connected, or failed
        self._ended = asyncio.Event()
        self._over = asyncio.Event()  # ended, and explained
        self._problem = ""
        self._reported = ""
        self._came_up = False
        self._closing = False
        self._task = asyncio.create_task(self._hold())

    async def close(self) -> None:
        """End the connection, and the server's process."""
        self._closing = True
        while not self._task.done():
            # Again and again: the task groups of the SDK may answer a cancellation with another error.
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_CLOSING_SECONDS)

    def break_off(self, problem: str) -> None:
        """Give the connection up, as one that hangs; it is made anew."""
        self._problem = problem
        self._ended.set()

    async def tools(self) -> Sequence[ForeignTool]:
        """What the server offers now. Raises ServerDownError."""
        client = await self._connected()
        found: list[ForeignTool] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(_LIST_SECONDS):
                for _ in range(_MOST_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    found += [ForeignTool(one.name, one.description or "", one.input_schema) for one in page.tools]
                    cursor = page.next_cursor
                    if cursor is None or len(found) >= _MOST_TOOLS:
                        break
        except (TimeoutError, MCPError, ValidationError, *_BROKEN) as error:
            self.break_off(f"it did not list its tools: {_said(error)}")
            raise ServerDownError(self._problem) from error
        return found[:_MOST_TOOLS]

    async def call(self, tool: str, arguments: Mapping[str, Any], seconds: float) -> CallToolResult:
        """Call a tool. Raises TimeoutError, MCPError for what the server refuses, and ServerDownError if it died."""
        client = await self._connected()
        try:
            async with asyncio.timeout(seconds):
                return await client.call_tool(tool, dict(arguments))
        except TimeoutError:
            self.break_off(f"{tool} took longer than {seconds:g} s")
            raise
        except MCPError as error:
            if error.code != CONNECTION_CLOSED:
                raise
            raise ServerDownError(await self._explanation(), asked=True) from error
        except (ValidationError, *_BROKEN) as error:
            self.break_off(_said(error))
            raise ServerDownError(self._problem, asked=True) from error

    async def _explanation(self) -> str:
        """Why the connection has ended: the process says so once it is gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EXPLANATION_SECONDS):
                await self._over.wait()
        return self._problem or "its connection was closed"

    async def _connected(self) -> Client:
        """The client; one that has just died is waited for. Raises ServerDownError."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._settled.wait()
        if self._client is None:
            raise ServerDownError(self._problem or f"it did not answer within {_CONNECT_SECONDS:g} s")
        return self._client

    async def _hold(self) -> None:
        failures, loop = 0, asyncio.get_running_loop()
        while not self._closing:
            begun = loop.time()
            self._ended.clear()
            self._over.clear()
            self._problem, self._came_up = "", False
            attempt = self._attempt()
            try:
                await self._connect(attempt)
            except Exception as error:  # noqa: BLE001 (whatever a foreign server makes the SDK raise)
                self._problem = self._problem or _said(error)
            self._client = None
            self._problem = attempt.explanation() or self._problem or "it has ended"
            failures = 1 if loop.time() - begun > _SOUND_SECONDS else failures + 1
            self._report(self._problem)
            self._over.set()
            # Those who want a server that has died wait for the next try. One that does not come up, or dies again and
            # again, is said to be down at once.
            if failures > 1 and (failures > _TRUSTED or not self._came_up):
                self._settled.set()
            await asyncio.sleep(_FIRST_PAUSE + delay(failures, random.random(), at_most=_LONGEST_PAUSE))  # noqa: S311
            self._settled.clear()

    async def _connect(self, attempt: ConnectionAttempt) -> None:
        """Connect, and stay so until the server is gone or was given up."""
        client = Client(guarded(attempt.streams(), self._ended), client_info=_CLIENT, cache=None)
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(_CONNECT_SECONDS):
                self._client = await stack.enter_async_context(client)
            self._came_up = True
            self._report("")
            self._settled.set()
            try:
                await self._ended.wait()
            finally:  # also where the transport fails in a task of its own, which cancels this one
                self._client = None
                self._settled.clear()

    def _report(self, problem: str) -> None:
        if problem != self._reported:
            self._reported = problem
            self._on_health(problem)


_BROKEN = (OSError, httpx2.HTTPError, AnswerTooLargeError, RuntimeError)


def _said(error: BaseException) -> str:
    """The error in a sentence; of a group, its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]

"""The tools of all servers of the configuration, for agents."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mcp import MCPError
from mcp.client._transport import TransportStreams

from orchestration.agents.command_environment import limits_in
from orchestration.agents.mcp.acceptance import AcceptedTools
from orchestration.agents.mcp.answers import text_of
from orchestration.agents.mcp.connection import McpConnection, ServerDownError
from orchestration.agents.mcp.inspection import ForeignTool, HeldReason, objections
from orchestration.agents.mcp.names import lists, matches, name_here, server_of
from orchestration.agents.mcp.server_process import McpProcess, ServerCommand
from orchestration.agents.mcp.transport import http_streams
from orchestration.agents.sandbox import SandboxLimits
from orchestration.agents.tools import AgentTool, AnyArguments, ToolContext, ToolResult, ToolUnavailableError
from orchestration.agents.tools.own import shortened
from orchestration.config.agents import AgentSettings
from orchestration.config.schema import Configuration
from orchestration.config.tools import McpServerSettings
from orchestration.events import EventBus
from orchestration.events.tools import ToolHeld, ToolServerFailed, ToolServerRecovered

_UNKNOWN = "; nobody knows whether the call was carried out: find out before you repeat it"
_SECONDS = 60.0
_OUTPUT_BYTES = 20_000
# A server lives for as long as runs use it; its limit on time is only for one that has been forgotten.
_LIFE_SECONDS = 7 * 24 * 3600.0
_IDLE_SECONDS = 300.0
_SWEEP_SECONDS = 30.0
# How old what is known of a server's tools may be when one of them is called.
_FRESH_SECONDS = 30.0


@dataclass(slots=True)
class _Held:
    """A connection with the settings that it was made by, and what it offered last."""

    connection: McpConnection
    settings: McpServerSettings
    used_at: float
    listed_at: float = -math.inf
    tools: Sequence[ForeignTool] = ()


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of a server, and why it is held; for nothing, it is offered."""

    name: str
    tool: ForeignTool
    held: tuple[HeldReason, ...]


class McpTools:
    """Connects to a server when an agent first needs it: to a command once for each workspace, in which it runs; to an
    address once."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        credential: Callable[[str], str | None],
        bus: EventBus,
        root: Path,
        accepted: AcceptedTools,
    ) -> None:
        """`credential` returns the value of a variable of `.env` or the environment."""
        self._configuration = configuration
        self._credential = credential
        self._bus = bus
        self._root = root
        self._accepted = accepted
        self._open: dict[tuple[str, Path | None], _Held] = {}
        self._said: set[tuple[str, str]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """End all connections and processes."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        held, self._open = list(self._open.values()), {}
        await asyncio.gather(*(one.connection.close() for one in held))

    async def offered(self, agent: AgentSettings, folder: Path) -> Sequence[AgentTool]:
        found: list[AgentTool] = []
        for server in dict.fromkeys(server_of(one) for one in agent.tools):
            settings = self._settings(server, agent)
            if server is None or settings is None:
                continue
            # A server that is down costs the agent its tools, and not its work.
            with contextlib.suppress(ServerDownError):
                inspected = await self.inspect(server, folder, fresh=True)
                chosen = (one for one in inspected if lists(agent.tools, one.name) and not one.held)
                found += [self._tool(server, settings, one, folder) for one in chosen]
        return found

    async def find(self, agent: AgentSettings, name: str, folder: Path) -> AgentTool | None:
        server = server_of(name)
        settings = self._settings(server, agent)
        if server is None or settings is None or not lists(agent.tools, name):
            return None
        try:
            offered = await self.inspect(server, folder)
        except ServerDownError as error:
            raise ToolUnavailableError(
                f"{name} cannot be used now: the server {server} does not work: {error}"
            ) from error
        found = next((one for one in offered if one.name == name), None)
        if found is not None and found.held:
            raise ToolUnavailableError(f"{name} cannot be used: {found.held[0].value}; a person has to accept it")
        return None if found is None else self._tool(server, settings, found, folder)

    async def inspect(self, server: str, folder: Path, *, fresh: bool = False) -> Sequence[OfferedTool]:
        """What a server offers, and which of it is held. Raises ServerDownError."""
        settings = self._configuration().mcp_servers[server]
        held = await self._connection(server, settings, folder)
        now = asyncio.get_running_loop().time()
        if fresh or now - held.listed_at > _FRESH_SECONDS:
            held.tools, held.listed_at = await held.connection.tools(), now
        names: set[str] = set()
        found = []
        for tool in held.tools:
            if settings.tools and not matches(settings.tools, tool.name):
                continue
            name = name_here(server, tool.name)
            reasons = (HeldReason.NAME_TAKEN,) if name in names else self._held(server, tool)
            names.add(name)
            found.append(OfferedTool(name, tool, reasons))
        return found

    def _held(self, server: str, tool: ForeignTool) -> tuple[HeldReason, ...]:
        """Why a tool is held; one that is new, and against which nothing speaks, is accepted."""
        known = self._accepted.load(server).get(tool.name)
        if known == tool.digest:
            return ()
        reasons = objections(tool)
        if known is not None:
            reasons = (HeldReason.CHANGED, *reasons)
        if not reasons:
            self._accepted.accept(server, {tool.name: tool.digest})
        elif (server, tool.digest) not in self._said:
            self._said.add((server, tool.digest))
            self._bus.publish(ToolHeld(server, tool.name[:64], "; ".join(reasons), changed=known is not None))
        return reasons

    def _settings(self, server: str | None, agent: AgentSettings) -> McpServerSettings | None:
        """A server that an agent may use."""
        settings = self._configuration().mcp_servers.get(server or "")
        if settings is None or not settings.enabled or (settings.agents and agent.id not in settings.agents):
            return None
        return settings

    async def _connection(self, server: str, settings: McpServerSettings, folder: Path) -> _Held:
        loop = asyncio.get_running_loop()
        key = (server, folder if settings.command else None)
        held = self._open.get(key)
        if held is not None and held.settings != settings:
            del self._open[key]
            await held.connection.close()
            held = None
        if held is None:
            connection = McpConnection(partial(_Way, self, settings, folder), partial(self._on_health, server))
            held = self._open[key] = _Held(connection, settings, loop.time())
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())
        held.used_at = loop.time()
        return held

    async def _sweep(self) -> None:
        """End what nobody has used for a while: the workspace of a run that is over keeps no process."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            before = asyncio.get_running_loop().time() - _IDLE_SECONDS
            for key, held in list(self._open.items()):
                if held.used_at < before:
                    del self._open[key]
                    await held.connection.close()

    def _on_health(self, server: str, problem: str) -> None:
        if problem:
            self._bus.publish(ToolServerFailed(server, problem))
        else:
            self._bus.publish(ToolServerRecovered(server))

    def _tool(self, server: str, settings: McpServerSettings, found: OfferedTool, folder: Path) -> AgentTool:
        own = found.tool.name
        reads = matches(settings.reads_only, own)
        return AgentTool(
            found.name,
            found.tool.shown_description or own,
            AnyArguments,
            partial(self._call, server, settings, found, folder),
            reads,
            parameters=found.tool.parameters,
            repeatable=reads or matches(settings.idempotent, own),
            approval=matches(settings.approval, own),
        )

    async def _call(
        self,
        server: str,
        settings: McpServerSettings,
        found: OfferedTool,
        folder: Path,
        context: ToolContext,
        arguments: AnyArguments,
    ) -> ToolResult:
        """Call a tool; only one that may be repeated is called again after the server has died."""
        seconds = min(context.limits.seconds, settings.limits.seconds or _SECONDS)
        most = settings.limits.output_bytes or _OUTPUT_BYTES
        may_repeat = matches((*settings.reads_only, *settings.idempotent), found.tool.name)
        for again in (may_repeat, False):
            held = await self._connection(server, settings, folder)
            try:
                answer = await held.connection.call(found.tool.name, arguments.model_dump(), seconds)
            except TimeoutError:
                return ToolResult(f"{found.name} was ended: it took longer than {seconds:g} s", ok=False)
            except MCPError as error:
                return ToolResult(shortened(f"{found.name} failed: {error.message}", most), ok=False)
            except ServerDownError as error:
                if again:
                    continue
                unknown = _UNKNOWN if error.asked and not may_repeat else ""
                return ToolResult(f"{found.name} failed: the server {server} has died: {error}{unknown}", ok=False)
            return ToolResult(shortened(text_of(answer), most), ok=not answer.is_error)
        raise AssertionError

    def command_of(self, settings: McpServerSettings, folder: Path) -> ServerCommand:
        """How a server's command runs: isolated as an agent's commands in that folder."""
        own = SandboxLimits(
            seconds=_LIFE_SECONDS,
            cpu_seconds=int(_LIFE_SECONDS),
            memory_mb=settings.limits.memory_mb or SandboxLimits().memory_mb,
        )
        # With the caches of package managers: `npx` and `uvx` would fetch a server at each start.
        limits = limits_in(own, self._configuration(), self._root, folder)
        if limits.isolation is not None:
            limits = replace(limits, isolation=replace(limits.isolation, network=settings.network))
        variables = {**limits.variables, **self._values(settings.variables)}
        return ServerCommand(settings.command, folder, variables, limits)

    def headers_of(self, settings: McpServerSettings) -> Mapping[str, str]:
        """The headers with a server's secrets."""
        given = {header: self._credential(name) for header, name in settings.headers_env.items()}
        token = self._credential(settings.token_env) if settings.token_env else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return headers | {header: value for header, value in given.items() if value is not None}

    def _values(self, names: Sequence[str]) -> dict[str, str]:
        return {name: value for name in names if (value := self._credential(name)) is not None}


class _Way:
    """One try to reach a server, by its settings now: a secret may have been rotated since the last."""

    def __init__(self, source: McpTools, settings: McpServerSettings, folder: Path) -> None:
        self._source = source
        self._settings = settings
        self._folder = folder
        self._process = McpProcess()

    def streams(self) -> AbstractAsyncContextManager[TransportStreams]:
        if self._settings.url is not None:
            return http_streams(self._settings.url, self._source.headers_of(self._settings))
        return self._process.streams(self._source.command_of(self._settings, self._folder))

    def explanation(self) -> str:
        if self._process.problem or not self._process.complaints:
            return self._process.problem
        return f"it ended, and its last words were: {self._process.complaints[-1][:200]}"

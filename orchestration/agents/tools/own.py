"""Tools of the user's own: functions that are named in the configuration or by an installed package."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestration import logs
from orchestration.agents.sandbox import HeadAndEnd, SandboxLimits
from orchestration.agents.tool_process import OwnToolCode, OwnToolError
from orchestration.agents.tools import (
    AgentTool,
    AnyArguments,
    BadArgumentsError,
    ToolContext,
    ToolResult,
    ToolUnavailableError,
)
from orchestration.agents.tools.plugins import plugin_tools
from orchestration.clock import Clock
from orchestration.config.agents import AgentSettings
from orchestration.config.schema import Configuration
from orchestration.config.tools import ToolSettings

_log = logs.get_logger("tools")

# Long for a request to a service, and short enough that a run with a tool that hangs still gets somewhere.
_SECONDS = 60.0
# About what `read_file` shows at most: more would fill the context of a small model.
_OUTPUT_BYTES = 20_000
# Before each further try of a tool that may be repeated.
_WAITS = (1.0, 4.0)


class OwnTools:
    """The functions that agents may call. What each is for is asked of the function itself, once for each version of
    its settings, in a process of its own: importing a user's module may do anything, or never end."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        credential: Callable[[str], str | None],
        clock: Clock,
        root: Path,
    ) -> None:
        """`credential` returns the value of a variable of `.env` or the environment."""
        self._configuration = configuration
        self._credential = credential
        self._clock = clock
        self._root = root
        self._described: dict[tuple[str, str], Mapping[str, Any]] = {}

    async def offered(self, agent: AgentSettings, folder: Path) -> Sequence[AgentTool]:
        """The tools of an agent; one that cannot be described is left out, and the log says why."""
        found = []
        for name in agent.tools:
            try:
                tool = await self.find(agent, name, folder)
            except ToolUnavailableError as error:
                _log.warning("tool.unusable", tool=name, agent=agent.id, message=str(error))
            else:
                found += [] if tool is None else [tool]
        return found

    async def find(self, agent: AgentSettings, name: str, _folder: Path) -> AgentTool | None:
        settings = self._configuration().tools.get(name) or plugin_tools().get(name)
        if settings is None or name not in agent.tools or (settings.agents and agent.id not in settings.agents):
            return None
        described = await self._description(name, settings)
        return AgentTool(
            name,
            settings.description or str(described.get("description") or name),
            AnyArguments,
            partial(self._call, name, settings),
            settings.reads_only,
            parameters=settings.parameters or described.get("parameters") or {"type": "object", "properties": {}},
            repeatable=settings.reads_only or settings.idempotent,
            approval=settings.approval,
        )

    async def _description(self, name: str, settings: ToolSettings) -> Mapping[str, Any]:
        if settings.parameters is not None and settings.description:
            return {}
        key = (settings.entry_point, settings.model_dump_json())
        if key not in self._described:
            try:
                self._described[key] = await self._code(settings).describe()
            except OwnToolError as error:
                raise ToolUnavailableError(f"the tool {name} cannot be used: {error}") from error
        return self._described[key]

    def _code(self, settings: ToolSettings) -> OwnToolCode:
        return OwnToolCode(settings.entry_point, self._root, self._configuration().runtime.python_path)

    async def _call(
        self, name: str, settings: ToolSettings, context: ToolContext, arguments: AnyArguments
    ) -> ToolResult:
        """Call the function; only one that may be repeated is tried again after it has failed."""
        waits = (*_WAITS, None) if settings.reads_only or settings.idempotent else (None,)
        for wait in waits:
            result = await self._attempt(name, settings, context, arguments.model_dump())
            if result.ok or wait is None or result.data.get("final"):
                return result
            await self._clock.sleep(wait)
        raise AssertionError

    async def _attempt(
        self, name: str, settings: ToolSettings, context: ToolContext, arguments: Mapping[str, Any]
    ) -> ToolResult:
        assert context.call is not None  # noqa: S101 (a programming error)
        limits = _limits(settings, context.limits)
        variables = {one: value for one in settings.variables if (value := self._credential(one)) is not None}
        try:
            found = await self._code(settings).call(arguments, context.call, limits, variables, context.on_output)
        except OwnToolError as error:
            # One that took too long once would do so again.
            return ToolResult(f"{name} failed: {error}", ok=False, data={"final": error.timed_out})
        if "bad_call" in found:
            raise BadArgumentsError(f"the arguments of {name} are wrong: {found['bad_call']}")
        if "raised" in found:
            return ToolResult(shortened(f"{name} failed: {found['raised']}", limits.output_bytes), ok=False)
        return ToolResult(shortened(str(found["text"]), limits.output_bytes))


def _limits(settings: ToolSettings, given: SandboxLimits) -> SandboxLimits:
    own = settings.limits
    return replace(
        given,
        seconds=min(given.seconds if math.isfinite(given.seconds) else _SECONDS, own.seconds or _SECONDS),
        memory_mb=own.memory_mb or given.memory_mb,
        output_bytes=own.output_bytes or _OUTPUT_BYTES,
        isolation=None,
    )


def shortened(text: str, at_most: int) -> str:
    """A text of which at most so many bytes are kept: its head and its end."""
    kept = HeadAndEnd(at_most)
    kept.add(text.encode("utf-8", "replace"))
    return kept.text()

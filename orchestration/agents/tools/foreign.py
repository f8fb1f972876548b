"""Tools of servers (MCP), of which nothing is imported before a server is configured: the SDK takes half a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration import logs
from orchestration.agents.tools import AgentTool, ToolUnavailableError
from orchestration.config.agents import AgentSettings
from orchestration.config.schema import Configuration

if TYPE_CHECKING:
    from orchestration.agents.mcp.source import McpTools

_log = logs.get_logger("tools")


class ForeignTools:
    """The tools of all servers of the configuration."""

    def __init__(self, configuration: Callable[[], Configuration], build: Callable[[], McpTools]) -> None:
        self._configuration = configuration
        self._build = build
        self._built: McpTools | None = None

    @property
    def source(self) -> McpTools:
        """What connects to the servers. Raises ToolUnavailableError where the SDK is not installed."""
        if self._built is None:
            if find_spec("mcp") is None:
                raise ToolUnavailableError("there are no tools of servers: install agent-orchestration[mcp]")
            self._built = self._build()
        return self._built

    async def offered(self, agent: AgentSettings, folder: Path) -> Sequence[AgentTool]:
        """The tools of servers that an agent may use."""
        if not self._configuration().mcp_servers:
            return ()
        try:
            return await self.source.offered(agent, folder)
        except ToolUnavailableError as error:
            _log.warning("tool.unusable", agent=agent.id, message=str(error))
            return ()

    async def find(self, agent: AgentSettings, name: str, folder: Path) -> AgentTool | None:
        """The tool of that name, if the agent may use it. Raises ToolUnavailableError."""
        return await self.source.find(agent, name, folder) if self._configuration().mcp_servers else None

    async def aclose(self) -> None:
        """End all connections and processes."""
        if self._built is not None:
            await self._built.aclose()

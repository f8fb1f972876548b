"""Events of the servers that tools of agents come from."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class ToolServerFailed(EventPayload):
    """A server of tools (MCP) cannot be reached, has died or hangs; it is tried again."""

    kind: ClassVar[str] = "tool_server.failed"
    template: ClassVar[str] = "the tool server {server} does not work: {reason}"
    level: ClassVar[int] = logging.WARNING

    server: str
    reason: str


@dataclass(frozen=True, slots=True)
class ToolServerRecovered(EventPayload):
    """A server of tools works again."""

    kind: ClassVar[str] = "tool_server.recovered"
    template: ClassVar[str] = "the tool server {server} works again"

    server: str


@dataclass(frozen=True, slots=True)
class ToolHeld(EventPayload):
    """A tool of a server is not offered to agents, until a person accepts it as it is:
    `orchestrator mcp accept SERVER TOOL`."""

    kind: ClassVar[str] = "tool_server.tool_held"
    template: ClassVar[str] = "{tool} of {server} is not offered to agents: {reason}"
    level: ClassVar[int] = logging.WARNING

    server: str
    tool: str
    reason: str
    # Whether it was accepted before, and is another one now.
    changed: bool

"""All tools by name."""

from __future__ import annotations

from orchestration.agents.tools import AgentTool, command, files, search

ALL: dict[str, AgentTool] = {tool.name: tool for tool in (*files.TOOLS, *search.TOOLS, *command.TOOLS)}

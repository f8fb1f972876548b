"""All tools by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from orchestration.agents.tools import AgentTool, command, edits, files, repository_map, search
from orchestration.config.agents import AgentSettings
from orchestration.config.tools import ToolSettings

ALL: dict[str, AgentTool] = {
    tool.name: tool for tool in (*files.TOOLS, *search.TOOLS, *repository_map.TOOLS, *edits.TOOLS, *command.TOOLS)
}
# Tools that reach nothing which the tool they belong to does not reach already.
_BROUGHT = {
    "run_command": ("read_output",),
    "write_file": ("undo_edit",),
    "replace_in_file": ("undo_edit",),
    "apply_patch": ("undo_edit",),
    "delete_file": ("undo_edit",),
}


def may_write(agent: AgentSettings, own: Mapping[str, ToolSettings] = MappingProxyType({})) -> bool:
    """Whether an agent can change files: with a tool, or by code of the user's own."""
    shipped = any(not ALL[name].reads_only for name in agent.tools if name in ALL)
    return (
        agent.entry_point is not None or shipped or any(not own[name].reads_only for name in agent.tools if name in own)
    )


def granted(names: Iterable[str]) -> tuple[str, ...]:
    """The tools of an agent that lists these: some bring another one with them."""
    listed = tuple(names)
    return tuple(dict.fromkeys((*listed, *(more for name in listed for more in _BROUGHT.get(name, ())))))

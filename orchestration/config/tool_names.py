"""The names that an agent's `tools` may have."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points

from orchestration.config.schema import Configuration

TOOLS_GROUP = "orchestration.tools"
# Repeated here, because the tools are in a layer above this one.
SHIPPED_TOOLS = frozenset(
    {
        *("read_file", "list_files", "search_files", "repository_map"),
        *("write_file", "replace_in_file", "apply_patch", "delete_file", "move_file", "undo_edit"),
        *("run_command", "read_output"),
    }
)


def is_foreign(configuration: Configuration, name: str) -> bool:
    """Whether a name is that of a tool of one of the servers, or a pattern of such names; which tools a server has is
    not known before it is asked."""
    server, separator, _ = name.partition("__")
    return bool(separator) and server in configuration.mcp_servers


def known_tools(configuration: Configuration) -> frozenset[str]:
    """The tools that ship, those of the configuration, and those that packages add. A package's code is not imported:
    the name of its entry point is the tool's."""
    return SHIPPED_TOOLS | set(configuration.tools) | set(plugin_names())


def plugin_names() -> Iterable[str]:
    """The names of the tools of installed packages."""
    return entry_points(group=TOOLS_GROUP).names

"""Tools that installed packages add, by the entry point `orchestration.tools`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from orchestration import logs
from orchestration.config.tool_names import TOOLS_GROUP
from orchestration.config.tools import ToolSettings
from orchestration.declarations.tool import ToolFunction
from orchestration.errors import UsageError
from orchestration.plugins import PluginError, plugin_registry

_LOG = logs.get_logger(__name__)


def _validated(found: object) -> tuple[str, ToolSettings]:
    if not isinstance(found, ToolFunction):
        raise PluginError("it is no function with the decorator @tool of orchestration.sdk")
    try:
        return found.name, ToolSettings.model_validate(found.section())
    except (UsageError, ValidationError) as error:
        raise PluginError(str(error)) from error


_load = plugin_registry(
    TOOLS_GROUP, "tool", _validated, lambda problem: _LOG.warning("tool.plugin_broken", problem=problem)
)


def plugin_tools() -> Mapping[str, ToolSettings]:
    """The tools of installed packages, by name; loaded when first asked for."""
    return dict(_load().usable)

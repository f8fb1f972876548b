"""An agent's tool calls: permitted, limited, reported, and recorded without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestration.agents import tools
from orchestration.agents.sandbox import SandboxLimits, call_python
from orchestration.agents.tools import ToolContext, ToolResult
from orchestration.agents.workspace import Workspace
from orchestration.clock import Clock
from orchestration.config.schema import AgentSettings, Configuration, Limits
from orchestration.events import Bus
from orchestration.security.permissions import Permissions
from orchestration.storage.runs import Run
from orchestration.workflows.heartbeat import Heartbeat
from orchestration.workflows.model import AgentTask


def name_of(call: Mapping[str, Any]) -> str:
    """The name of the tool that a model asks for; models write all sorts of things there."""
    return str((call.get("function") or {}).get("name") or "")[:64]

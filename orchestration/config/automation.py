"""What the system may do automatically."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from orchestration.config.section import Section

ActionMode = Literal["off", "suggest", "ask", "auto"]
# Actions that cannot be undone, but affect only what the system itself has created.
_HARMLESS_ACTIONS: Mapping[str, ActionMode] = MappingProxyType(
    {"cleanup.logs": "auto", "cleanup.artifacts": "auto", "process.kill": "auto"}
)


class AutomationSettings(Section):
    """What the system may do automatically. `enabled` is the kill switch of all automatic actions; `actions` sets the
    mode of single ones and overrides the playbooks."""

    enabled: bool = True
    actions: dict[str, ActionMode] = Field(default_factory=dict)

    def mode_of(self, action: str) -> ActionMode | None:
        """The configured mode of an action; None if its playbook decides."""
        return self.actions.get(action, _HARMLESS_ACTIONS.get(action))

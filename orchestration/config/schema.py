"""The structure of `config/agents.config.json`, section by section; this module is the whole of it.

Keys in the file are camelCase, attributes here are snake_case. Unknown keys are kept, so that files for other versions
still load; a warning names them. All values are immutable.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from orchestration.config.access import AccessSettings
from orchestration.config.agents import AgentSettings, WorkflowEdge
from orchestration.config.alerting import AlertingSettings
from orchestration.config.automation import AutomationSettings
from orchestration.config.budgets import BudgetSettings
from orchestration.config.maintenance import MaintenanceSettings
from orchestration.config.models import ModelSettings
from orchestration.config.monitoring import MonitoringSettings
from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.response import ResponseSettings
from orchestration.config.runtime import RuntimeSettings
from orchestration.config.schedules import ScheduleSettings
from orchestration.config.section import Identifier, Section
from orchestration.config.tools import McpServerName, McpServerSettings, ToolName, ToolSettings
from orchestration.config.vendors.settings import RevokerSettings


class Metadata(Section):
    """What this configuration is for; free text, shown in reports. `writtenBy` says that a program writes the file, so
    that an edit by hand would be lost."""

    name: str = "agents"
    version: str = "1"
    description: str = ""
    written_by: str = ""


class Configuration(Section):
    """The whole file."""

    schema_reference: str | None = Field(default=None, alias="$schema")
    metadata: Metadata = Metadata()
    runtime: RuntimeSettings = RuntimeSettings()
    models: dict[str, tuple[ModelSettings, ...]] = Field(default_factory=dict)
    agents: tuple[AgentSettings, ...] = ()
    tools: dict[ToolName, ToolSettings] = Field(default_factory=dict)
    mcp_servers: dict[McpServerName, McpServerSettings] = Field(default_factory=dict)
    workflow: tuple[WorkflowEdge, ...] = ()
    schedules: tuple[ScheduleSettings, ...] = ()
    monitoring: MonitoringSettings = MonitoringSettings()
    automation: AutomationSettings = AutomationSettings()
    response: ResponseSettings = ResponseSettings()
    alerting: AlertingSettings = AlertingSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    access: AccessSettings = AccessSettings()
    revokers: dict[Identifier, RevokerSettings] = Field(default_factory=dict)
    budgets: tuple[BudgetSettings, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _accept_short_forms(cls, data: Any) -> Any:
        """Accept a model that is just a name, and a workflow that is wrapped as `{"edges": [...]}`."""
        if not isinstance(data, dict):
            return data
        result = dict(data)
        if isinstance(workflow := data.get("workflow"), dict) and "edges" in workflow:
            result["workflow"] = workflow["edges"]
        if isinstance(models := data.get("models"), dict):
            result["models"] = {provider: _expand_models(entries) for provider, entries in models.items()}
        return result

    def agent(self, agent_id: str) -> AgentSettings | None:
        """The agent of that name, or None."""
        return next((agent for agent in self.agents if agent.id == agent_id), None)

    def provider(self, name: str) -> ProviderSettings | None:
        """The provider of that name, or None."""
        return self.runtime.providers.get(name)

    def model(self, provider: str, name: str) -> ModelSettings | None:
        """The settings of a provider's model, or None."""
        return next((model for model in self.models.get(provider, ()) if model.name == name), None)


def _expand_models(entries: object) -> object:
    if not isinstance(entries, list):
        return entries
    return [{"name": entry} if isinstance(entry, str) else entry for entry in entries]

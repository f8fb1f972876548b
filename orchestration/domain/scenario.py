"""What kind of trouble an incident is about."""

from __future__ import annotations

from enum import StrEnum


class Scenario(StrEnum):
    """The playbook's five scenarios, one for the system itself, and one for whatever other systems report."""

    AGENT_FAILURE = "agent-failure"
    PROVIDER_UNAVAILABLE = "provider-unavailable"
    HIGH_RESOURCE_USAGE = "high-resource-usage"
    WORKFLOW_STUCK = "workflow-stuck"
    SECURITY_ALERT = "security-alert"
    CONTROL_PLANE = "control-plane"
    EXTERNAL_ALERT = "external-alert"

"""The console commands to use next for an incident. Pure."""

from __future__ import annotations

import shlex

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.incidents.model import Incident


def next_commands(incident: Incident) -> tuple[str, ...]:
    """The two commands to use next."""
    command = "orchestrator incidents"
    if incident.status.is_open and not incident.acknowledged:
        return (f"{command} ack {incident.id}", diagnostic_command(incident))
    if incident.status.is_open:
        return (diagnostic_command(incident), f'{command} resolve {incident.id} --resolution "…"')
    if incident.status in (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW):
        return (f"{command} review {incident.id}", f"{command} reopen {incident.id}")
    return (f"{command} export {incident.id}", f"{command} show {incident.id}")


def diagnostic_command(incident: Incident) -> str:
    """The command that shows most of this problem."""
    # Names come from alerts and configuration, and people paste these commands into a shell: hence the quoting.
    blast, path = incident.blast_radius, incident.labels.get("path")
    if incident.scenario is Scenario.PROVIDER_UNAVAILABLE:
        return " ".join(["orchestrator providers probe", *(shlex.quote(name) for name in blast.providers)])
    if incident.scenario is Scenario.HIGH_RESOURCE_USAGE:
        return f"df -h {shlex.quote(path)}" if path else "top -b -n 1"
    if incident.scenario is Scenario.CONTROL_PLANE:
        return "orchestrator doctor"
    if blast.runs:
        return f"orchestrator runs show {shlex.quote(blast.runs[-1])}"
    return f"orchestrator incidents show {incident.id}"

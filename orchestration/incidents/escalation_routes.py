"""Which escalation path an incident takes when it is opened, and when it gets worse. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestration.config.escalation import DEFAULT_PATH, EscalationRoute
from orchestration.config.matchers import all_fit, parse_matchers
from orchestration.config.response import ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import escalation
from orchestration.incidents.escalation import IncidentTimer
from orchestration.incidents.model import Incident
from orchestration.incidents.report import TroubleReport


@dataclass(frozen=True, slots=True)
class RouteChoice:
    """The path, and the place in the configuration of the route that leads to it; None where no route matches."""

    path: str
    route: int | None = None


def choose_path(
    settings: ResponseSettings, severity: Severity, scenario: Scenario, labels: Mapping[str, str]
) -> RouteChoice:
    """The path by the first route that matches, else the default one."""
    for place, route in enumerate(settings.escalation_routes):
        if _matches(route, severity, scenario, labels):
            return RouteChoice(route.path, place)
    return RouteChoice(DEFAULT_PATH)


def route_labels(subject: TroubleReport | Incident) -> dict[str, str]:
    """What the matchers of routes see of a report, or of the incident that it has opened."""
    return {**subject.labels, "scenario": subject.scenario.value, "source": subject.source}


def describe_path(incident: Incident, settings: ResponseSettings) -> str:
    """The path that an incident takes, and which level is paged next, and when."""
    due = escalation.due_times(incident, settings).get(IncidentTimer.PAGE)
    level = escalation.level_to_page(incident, settings)
    if due is None or level is None:
        return incident.escalation_path
    return f"{incident.escalation_path}; level {level.level} is paged next, at {due:%Y-%m-%d %H:%M:%S} UTC"


def _matches(route: EscalationRoute, severity: Severity, scenario: Scenario, labels: Mapping[str, str]) -> bool:
    if route.severities and severity not in route.severities:
        return False
    if route.scenarios and scenario not in route.scenarios:
        return False
    return all_fit(parse_matchers(route.matchers), labels)

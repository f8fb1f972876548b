"""The escalation paths of the configuration: whom each pages at a moment, and which one an alert would take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestration.alerts.inbound import severity_of
from orchestration.alerts.incident_reports import report_of
from orchestration.alerts.records import from_row
from orchestration.config.alerting import IntakeSettings
from orchestration.config.escalation import DEFAULT_PATH
from orchestration.config.response import ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.escalation_routes import choose_path, route_labels
from orchestration.incidents.oncall import audience, contacts, level_names
from orchestration.incidents.severity import assess
from orchestration.storage.alerts import AlertRow


@dataclass(frozen=True, slots=True)
class PathLevel:
    """The contacts of a level at a moment, and after how many seconds the next one is paged."""

    level: int
    contacts: Sequence[str]
    after: float


@dataclass(frozen=True, slots=True)
class PathView:
    """An escalation path. `routes` are the places, in the configuration, of the routes that lead to it."""

    name: str
    levels: Sequence[PathLevel]
    repeat: int
    routes: Sequence[int]
    notified_first: Mapping[Severity, Sequence[str]]


@dataclass(frozen=True, slots=True)
class RouteSubject:
    """What the routes are tried with."""

    severity: Severity
    scenario: Scenario
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteTrial:
    """The path that the subject takes, and by which route; None where none matches."""

    subject: RouteSubject
    route: int | None
    path: PathView


def escalation_paths(settings: ResponseSettings, moment: datetime) -> Iterator[PathView]:
    """All paths, the default one first."""
    for name in (DEFAULT_PATH, *settings.escalation_paths):
        yield _view(settings, name, moment)


def outside_subject(
    labels: Mapping[str, str], intake: IntakeSettings, severity: Severity | None, scenario: Scenario | None
) -> RouteSubject:
    """An alert from outside with these labels. What is not given follows from them, as for one that comes in."""
    kind = scenario or intake.scenario(labels.get("alertname", ""))
    return RouteSubject(severity or severity_of(labels, intake), kind, {**labels, "scenario": kind.value})


def recorded_subject(row: AlertRow, now: datetime) -> RouteSubject:
    """A recorded alert, as the incident that it alone would open."""
    try:
        report = report_of([from_row(row)], now)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"The record of the alert {row.id} cannot be read.") from error
    return RouteSubject(assess(report.scenario, report.facts)[0], report.scenario, route_labels(report))


def try_routes(settings: ResponseSettings, subject: RouteSubject, moment: datetime) -> RouteTrial:
    """Which path the subject would take, and whom that pages."""
    chosen = choose_path(settings, subject.severity, subject.scenario, subject.labels)
    return RouteTrial(subject, chosen.route, _view(settings, chosen.path, moment))


def _view(settings: ResponseSettings, name: str, moment: datetime) -> PathView:
    path = settings.path(name)
    levels = [PathLevel(one.level, _ids(level_names(one), settings, moment), one.after) for one in path.levels]
    first = {each: [one.id for one in audience(each, settings, moment, name)] for each in Severity}
    routes = [place for place, route in enumerate(settings.escalation_routes) if route.path == name]
    return PathView(name, levels, path.repeat, routes, first)


def _ids(names: Sequence[str], settings: ResponseSettings, moment: datetime) -> list[str]:
    return [each.id for each in contacts(names, settings, moment)]

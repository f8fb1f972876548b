"""Reads what a blind drill has come to from its database and its files. Every function blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from orchestration.domain.duty import DutyOwner
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.drills.blind.observation import SeenAction, SeenIncident
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.observer import DrillObserver
from orchestration.events.providers import RouteOpened
from orchestration.incidents.model import Incident
from orchestration.incidents.records import IncidentRecords
from orchestration.playbooks.model import Risk
from orchestration.storage.playbooks import ActionRun, PlaybookRecords
from orchestration.storage.timeline import Timeline

# What a person would read as the result; the report of the tests contains how long they took.
_RESULTS = ("plan.md", "changes.patch", "review.md")
_LEFT_OUT = ("__pycache__", ".git")
_CHANGED = frozenset({ActionState.DONE, ActionState.UNDONE, ActionState.FAILED})
_TARGETS = ("providers", "runs", "workers", "processes", "agents", "packages", "artifacts", "variables")


def incidents(environment: DrillEnvironment, since: datetime) -> tuple[SeenIncident, ...]:
    """All incidents, oldest first, with times after `since`."""
    observer = DrillObserver(environment)
    return tuple(_seen(environment, observer, one, since) for one in observer.incidents())


def _seen(environment: DrillEnvironment, observer: DrillObserver, one: Incident, since: datetime) -> SeenIncident:
    played = observer.responses(one)
    entries = IncidentRecords(environment.database).entries(one.id)
    levels = [int(entry.data["level"]) for entry in entries if entry.kind == "escalated" and entry.data.get("level")]
    actions = PlaybookRecords(environment.database).list_actions(incident_id=one.id)
    return SeenIncident(
        scenario=one.scenario,
        severity=one.severity,
        title=one.title,
        is_open=one.status.is_open and one.status is not IncidentStatus.SUPPRESSED,
        detected_after=(one.detected_at - since).total_seconds(),
        resolved_after=None if one.resolved_at is None else (one.resolved_at - since).total_seconds(),
        # Of the first response: what was thought before anybody could have been told.
        causes=tuple(cause.id for cause in played[-1].hypotheses) if played else (),
        levels=tuple(dict.fromkeys(levels)),
        asks=observer.asked(one),
        handed_over=any(run.state is PlaybookRunState.HANDED_OVER for run in played) or _is_with_a_person(one),
        actions=tuple(_acts(actions)),
    )


def _is_with_a_person(one: Incident) -> bool:
    """Whether what is left to do is a person's, who was notified when the incident was opened."""
    return any(duty.owner is not DutyOwner.AUTOMATION for duty in one.open_duties)


def _acts(actions: Sequence[ActionRun]) -> Iterator[SeenAction]:
    for one in actions:
        if one.risk != Risk.READS.value and one.state in _CHANGED:
            yield SeenAction(one.action, one.step, tuple(_targets(one.parameters)))


def _targets(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name in _TARGETS:
        yield from map(str, parameters.get(name) or ())


def opened_providers(environment: DrillEnvironment, since: datetime) -> frozenset[str]:
    """The providers of which a route was taken out of use."""
    found = Timeline(environment.database).list_newest_of_kind(RouteOpened.kind, since)
    return frozenset(str(event.data["provider"]) for _, event in found)


def result_of(environment: DrillEnvironment) -> dict[str, str]:
    """The work's result: a checksum of every file of the workspace, and of what the agents have delivered."""
    files = (path for path in environment.workspace.rglob("*") if path.is_file() and _counts(path))
    found = {str(path.relative_to(environment.workspace)): _checksum(path) for path in files}
    for run in environment.runs:
        folder = environment.folder / "artifacts" / run
        found |= {name: _checksum(folder / name) for name in _RESULTS}
    return found


def _counts(path: Path) -> bool:
    return not any(part in _LEFT_OUT for part in path.parts)


def _checksum(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """The names of which both have different contents. Pure."""
    return tuple(sorted(name for name in {*one, *other} if one.get(name) != other.get(name)))

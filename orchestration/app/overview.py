"""The state of a project, read from its records alone: fast, whichever process does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.app.heartbeats import HeartbeatView, heartbeats_of
from orchestration.app.project import ProjectRecords
from orchestration.config.isolation import isolation_of
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.run_status import RunStatus
from orchestration.domain.severity import Severity
from orchestration.storage.approvals import Approval
from orchestration.storage.incidents.table import IncidentRow
from orchestration.storage.route_states import RouteStates
from orchestration.storage.runs import Run
from orchestration.workflows.processes import LiveProcess, control_processes, live_processes

_CLOSED = "closed"
_SEVERE = (Severity.P0, Severity.P1)


@dataclass(frozen=True, slots=True)
class ProviderOutOfUse:
    """A route that gets no calls at present, with the reason and the time since when (RFC 3339)."""

    provider: str
    model: str
    state: str
    reason: str
    since: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The isolation if the system is isolated; severe incidents (P0, P1) that nobody has acknowledged, the worst first;
    storms, in which alerts of other systems share an incident; unfinished runs, open questions, providers out of use,
    live processes, and heartbeats that are late or failed."""

    isolation: Mapping[str, Any] | None
    unacknowledged: Sequence[IncidentRow]
    storms: Sequence[IncidentRow]
    runs: Sequence[Run]
    questions: Sequence[Approval]
    providers: Sequence[ProviderOutOfUse]
    processes: Sequence[LiveProcess]
    control: Sequence[dict[str, Any]]
    heartbeats: Sequence[HeartbeatView] = ()


def overview(here: ProjectRecords) -> Overview:
    """Read it all."""
    isolation = isolation_of(here.store)
    return Overview(
        isolation=None if isolation is None else isolation.as_json(),
        unacknowledged=_unacknowledged(here),
        storms=here.incident_service.records.table.list_storms(),
        runs=here.runs.list([status for status in RunStatus if not status.ended]),
        questions=here.approvals.list_open(),
        providers=_out_of_use(here),
        processes=live_processes(here.leases),
        control=control_processes(here.leases),
        heartbeats=[one for one in heartbeats_of(here) if one.status.is_down],
    )


def _unacknowledged(here: ProjectRecords) -> list[IncidentRow]:
    records = here.incident_service.records
    rows = records.table.list(severities=_SEVERE, is_open=True)
    # The row keeps who acknowledged the incident first; after it was reopened, only the incident itself says whether
    # somebody has it now.
    rows = tuple(row for row in rows if row.status != IncidentStatus.SUPPRESSED)
    acknowledged = {one.id for one in records.list_of([row.id for row in rows]) if one.acknowledged}
    waiting = [row for row in rows if row.id not in acknowledged]
    return sorted(waiting, key=lambda row: (row.severity, row.detected_at))


def _out_of_use(here: ProjectRecords) -> list[ProviderOutOfUse]:
    """The routes of configured providers whose breaker is not closed, by the last report of any process."""
    known = here.configuration.runtime.providers
    return [
        ProviderOutOfUse(provider, model, state["state"], state["reason"], f"{said:%Y-%m-%dT%H:%M:%SZ}")
        for (provider, model), (state, said) in RouteStates(here.database).load().items()
        # A route that has never failed has reports, but no state of a breaker.
        if state.get("state", _CLOSED) != _CLOSED and provider in known and known[provider].enabled
    ]

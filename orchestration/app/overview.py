"""The state of a project, read from its records alone: fast, whichever process does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.app.project import Project
from orchestration.config.isolation import isolation_of
from orchestration.domain.run_status import RunStatus
from orchestration.storage.approvals import Approval
from orchestration.storage.route_states import RouteStates
from orchestration.storage.runs import Run
from orchestration.workflows.processes import LiveProcess, control_processes, live_processes

_CLOSED = "closed"


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
    """Unfinished runs, open questions, providers out of use, and live processes; and before all, the isolation."""

    isolation: Mapping[str, Any] | None
    runs: Sequence[Run]
    questions: Sequence[Approval]
    providers: Sequence[ProviderOutOfUse]
    processes: Sequence[LiveProcess]
    control: Sequence[dict[str, Any]]


def overview(here: Project) -> Overview:
    """Read it all."""
    isolation = isolation_of(here.store)
    return Overview(
        isolation=None if isolation is None else isolation.as_json(),
        runs=here.runs.list([status for status in RunStatus if not status.ended]),
        questions=here.approvals.list_open(),
        providers=_out_of_use(here),
        processes=live_processes(here.leases),
        control=control_processes(here.leases),
    )


def _out_of_use(here: Project) -> list[ProviderOutOfUse]:
    """The routes of configured providers whose breaker is not closed, by the last report of any process."""
    known = here.configuration.runtime.providers
    return [
        ProviderOutOfUse(provider, model, state["state"], state["reason"], f"{said:%Y-%m-%dT%H:%M:%SZ}")
        for (provider, model), (state, said) in RouteStates(here.database).load().items()
        # A route that has never failed has reports, but no state of a breaker.
        if state.get("state", _CLOSED) != _CLOSED and provider in known and known[provider].enabled
    ]

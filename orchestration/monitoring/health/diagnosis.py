"""Questions about a fault that other packages ask: the errors of a run, and the wait-for graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestration.config.schema import Configuration
from orchestration.domain.run_status import RunStatus
from orchestration.events.agents import AgentFinished
from orchestration.monitoring.collectors.log_reader import NAME, error_lines
from orchestration.monitoring.collectors.workers import PREFIXES
from orchestration.monitoring.health.wait_graph import WaitGraph, wait_graph
from orchestration.storage.approvals import ApprovalTable
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.route_states import RouteStates
from orchestration.storage.runs import Runs
from orchestration.storage.timeline import Timeline

_AT_MOST = 1000


class IncidentDiagnosis:
    """Answers from the log and the database. Everything here blocks."""

    def __init__(self, database: Database, log_folder: Path) -> None:
        self._runs = Runs(database)
        self._timeline = Timeline(database)
        self._approvals = ApprovalTable(database)
        self._states = RouteStates(database)
        self._leases = Leases(database)
        self._log = log_folder / NAME

    def error_lines(self, run_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest errors of a run, oldest first: entries of the JSON log, redacted as everything there."""
        return error_lines(self._log, run_id, limit)

    def wait_graph(self, configuration: Configuration) -> WaitGraph:
        """The wait-for graph as it is now."""
        unfinished = self._runs.list([status for status in RunStatus if not status.ended], limit=_AT_MOST)
        names = [run.id for run in unfinished]
        # Heartbeats outlive the agents that sent them: those of agents that have finished would draw
        # waits that are over.
        ended = self._timeline.list_of_kinds(names, [AgentFinished.kind]).values()
        done = {
            event.payload.agent_run_id
            for events in ended
            for event in events
            if isinstance(event.payload, AgentFinished)
        }
        beats = [beat for beat in self._timeline.list_heartbeats(*names) if beat.agent_run_id not in done]
        workers = [lease for prefix in PREFIXES for lease in self._leases.list(prefix) if lease.live]
        return wait_graph(
            unfinished,
            beats,
            self._approvals.list_open(),
            self._providers_down(),
            {name: settings.concurrency for name, settings in configuration.runtime.providers.items()},
            len(workers),
            configuration.runtime.default_provider,
        )

    def _providers_down(self) -> dict[str, str]:
        """Providers with a route out of use, and why."""
        return {
            provider: str(state.get("reason") or "out of use")
            for (provider, _), (state, _) in self._states.load().items()
            if state.get("state") == "open"
        }

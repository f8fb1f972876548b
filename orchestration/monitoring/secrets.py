"""Watches what agents write for secrets: artifacts, and the workspaces of runs that are at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.security.scan import Find, Finding, FolderScan
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.runs import Run, Runs, RunStatus

_SHOWN_LINES = 10
_RUNS = 50


class SecretWatch:
    """Scans what was written since the monitoring began, or since a run began. Findings are told once for each state
    of a file."""

    def __init__(self, artifacts: Path, table: ArtifactTable, runs: Runs, find: Find, clock: Clock) -> None:
        self._artifacts = artifacts
        self._table = table
        self._runs = runs
        self._find = find
        self._clock = clock
        self._artifact_scan = FolderScan(artifacts, find, since=clock.now().timestamp())
        self._workspaces: dict[str, FolderScan] = {}

    def look(self) -> tuple[Signal, ...]:
        """One round. Blocks."""
        return (*self._in_artifacts(), *self._in_workspaces())

    def _in_artifacts(self) -> Iterator[Signal]:
        for finding in self._artifact_scan.look():
            path = Path(finding.place).relative_to(self._artifacts)
            run = path.parts[0] if len(path.parts) > 1 else ""
            agents = {record.name: record.agent for record in self._table.list(run)} if run else {}
            yield self._signal(finding, f"artifacts/{path}", run, agents.get(path.name) or "")

    def _in_workspaces(self) -> Iterator[Signal]:
        """Runs that have just ended are looked at once more: what was written last counts too."""
        at_work = {run.id: run for run in self._runs.list([RunStatus.RUNNING, RunStatus.WAITING], limit=_RUNS)}
        for run in at_work.values():
            self._workspaces.setdefault(run.id, self._scan_of(run))
        for run_id in list(self._workspaces):
            scan = self._workspaces[run_id] if run_id in at_work else self._workspaces.pop(run_id)
            for finding in scan.look():
                yield self._signal(finding, finding.place, run_id, "")

    def _scan_of(self, run: Run) -> FolderScan:
        since = (run.started_at or run.created_at).timestamp()
        return FolderScan(Path(run.workspace), self._find, since=since)

    def _signal(self, finding: Finding, place: str, run: str, agent: str) -> Signal:
        labels = {"kind": finding.kind, "place": place, "run": run, "agent": agent}
        evidence = {"redacted": False, "lines": list(finding.lines[:_SHOWN_LINES])}
        return Signal("secret_found", self._clock.now(), float(len(finding.lines)), labels, evidence)

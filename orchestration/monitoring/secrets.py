"""Watches what agents write for secrets: artifacts, and the workspaces of runs that are at work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.security.scan import Find, Finding, FolderScan, scan_file
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.runs import Run, Runs, RunStatus

_SHOWN_LINES = 10
_RUNS = 50
_MOST_STANDING = 1000


@dataclass(slots=True)
class _Standing:
    """A file in which secrets were found: its state then, and the labels of each by its kind."""

    state: tuple[int, int] | None
    labels: dict[str, dict[str, str]] = field(default_factory=dict)


def _state(path: Path) -> tuple[int, int] | None:
    """By what one sees that a file has changed; None when it is gone."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class SecretWatch:
    """Scans what was written since the monitoring began, or since a run began. Findings are told once for each state
    of a file; that one has gone is told too, with the value 0."""

    def __init__(self, artifacts: Path, table: ArtifactTable, runs: Runs, find: Find, clock: Clock) -> None:
        self._artifacts = artifacts
        self._table = table
        self._runs = runs
        self._find = find
        self._clock = clock
        self._artifact_scan = FolderScan(artifacts, find, since=clock.now().timestamp())
        self._workspaces: dict[str, FolderScan] = {}
        self._standing: dict[Path, _Standing] = {}

    def look(self) -> tuple[Signal, ...]:
        """One round. Blocks."""
        return (*self._gone(), *self._in_artifacts(), *self._in_workspaces())

    def _gone(self) -> Iterator[Signal]:
        """Files in which something was found are looked at again when they change, also after their run."""
        for path, standing in list(self._standing.items()):
            if (state := _state(path)) == standing.state:
                continue
            kinds = {finding.kind for finding in scan_file(self._find, path)}
            standing.state = state
            for kind in [kind for kind in standing.labels if kind not in kinds]:
                yield Signal("secret_found", self._clock.now(), 0.0, standing.labels.pop(kind), {"redacted": False})
            if not standing.labels:
                del self._standing[path]

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
        path = Path(finding.place)
        if len(self._standing) < _MOST_STANDING:
            self._standing.setdefault(path, _Standing(_state(path))).labels[finding.kind] = labels
        evidence = {"redacted": False, "lines": list(finding.lines[:_SHOWN_LINES])}
        return Signal("secret_found", self._clock.now(), float(len(finding.lines)), labels, evidence)

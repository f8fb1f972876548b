"""Watches what agents write for secrets: artifacts, and the workspaces of runs."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.domain.run_status import RunStatus
from orchestration.errors import NotFoundError
from orchestration.events import Event
from orchestration.events.agents import AgentFinished, ToolCallFinished
from orchestration.events.runs import ArtifactWritten, RunCancelled, RunFinished, RunStopped
from orchestration.monitoring.collectors.scan_record import FoundSecret, ScannedFile, ScanRecord, State
from orchestration.security.scan import Before, Find, FolderScan, SecretFinding, nothing_before, scan_file
from orchestration.security.secret_search import is_suspected
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.runs import Run, Runs

_SHOWN_LINES = 10
_RUNS = 200
_MOST_STANDING = 1000
_MOST_DUE = 10_000
# A step that is committed may have left a file; a run that its agents have left is looked at once more.
_WRITTEN = (ToolCallFinished, ArtifactWritten, AgentFinished, RunFinished, RunCancelled, RunStopped)
# What a run was about to write when it ended is there by then.
_CLOCK_TOLERANCE = timedelta(seconds=30)
# So far back is looked where nothing was kept: what ran before anybody watched counts too.
_FIRST_LOOK_BACK = timedelta(days=1)
# While steps follow each other fast, looking at a large workspace takes no more than this share of the time.
_SHARE = 0.1


@dataclass(slots=True)
class _Workspace:
    """A run's workspace, and until when it is let be (monotonic)."""

    scan: FolderScan
    rests_until: float = 0.0


def _state(path: Path) -> State | None:
    """By what one sees that a file has changed; None when it is gone."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class SecretWatch:
    """Scans what was written since a run began: after each of its steps, when it ends, and all of it now and then.

    What is found in a file is told once, and again when it has become more or less; that it has gone is told too, with
    the value 0. `record` keeps how far it has come, so that what ended while nobody watched is looked at as well.
    `own` are the folders in which this system keeps its state and its logs. No run can write there, and a workspace
    that is the project's own folder holds them as well. `original` returns what a file held when a run began: what was
    there already was not written by it, though a worktree is full of new files.
    """

    def __init__(
        self,
        artifacts: Path,
        table: ArtifactTable,
        runs: Runs,
        find: Find,
        clock: Clock,
        record: ScanRecord,
        own: Sequence[Path] = (),
        original: Callable[[Run, Path], str] = lambda _run, _path: "",
    ) -> None:
        self._artifacts = artifacts
        self._table = table
        self._runs = runs
        self._find = find
        self._clock = clock
        self._record = record
        self._own = (artifacts, *own)
        self._original = original
        # `scan_due` and `collect` run on the threads of two loops and change the same records.
        self._lock = threading.Lock()
        self._due: deque[str] = deque(maxlen=_MOST_DUE)
        seen = record.read()
        first = clock.wall() - _FIRST_LOOK_BACK
        # What was seen by a clock that was set back since says nothing about files that were written meanwhile.
        self._until = first if seen is None or seen.until > clock.wall() else seen.until
        self._standing = {} if seen is None else seen.standing
        self._artifact_scan = FolderScan(artifacts, find, since=self._until.timestamp(), newest_first=True)
        self._workspaces: dict[str, _Workspace] = {}
        self._unsaved = False
        self._begun = False

    @property
    def is_due(self) -> bool:
        """Whether a run has made progress since it was scanned."""
        return bool(self._due)

    def on_event(self, event: Event) -> Iterable[Signal]:
        """Queue a run that has made progress for `scan_due`. Safe from any thread."""
        if isinstance(event.payload, _WRITTEN) and event.run_id:
            self._due.append(event.run_id)
        return ()

    def scan_due(self) -> tuple[Signal, ...]:
        """Scan the runs that have made progress. Blocks."""
        names = dict.fromkeys(self._due.popleft() for _ in range(len(self._due)))
        with self._lock:
            runs = [run for name in names if (run := self._run(name)) is not None]
            signals = tuple(signal for run in runs for signal in self._in_due(run))
            self._save_what_is_new()
        return signals

    def collect(self) -> tuple[Signal, ...]:
        """Scan everything that may have changed. Blocks."""
        begun = self._clock.wall()  # compared with the times of files
        with self._lock:
            runs = self._recent_runs()
            signals = [*self._gone(), *self._in_artifacts("")]
            complete = self._artifact_scan.complete
            for name in [*runs, *(name for name in self._workspaces if name not in runs)]:
                workspace = self._workspace(runs[name]) if name in runs else self._workspaces[name]
                signals += self._in_workspace(name, workspace)
                complete = complete and workspace.scan.complete
                if name not in runs and workspace.scan.complete:
                    del self._workspaces[name]
            if complete:
                self._until = begun - _CLOCK_TOLERANCE
            self._unsaved = self._unsaved or bool(runs)
            self._save_what_is_new()
        return tuple(signals)

    def _recent_runs(self) -> dict[str, Run]:
        """The runs that are at work, those that ended since all was seen, and at first those that were stopped."""
        statuses = [RunStatus.RUNNING, RunStatus.WAITING, *([] if self._begun else [RunStatus.STOPPED])]
        working = self._runs.list(statuses, limit=_RUNS)
        ended = self._runs.list([status for status in RunStatus if status.ended], limit=_RUNS)
        self._begun = True
        late = [run for run in ended if run.finished_at is not None and run.finished_at >= self._until]
        return {run.id: run for run in (*working, *late)}

    def _run(self, name: str) -> Run | None:
        try:
            return self._runs.get(name)
        except NotFoundError:
            return None

    def _in_due(self, run: Run) -> Iterator[Signal]:
        workspace, now = self._workspace(run), self._clock.monotonic()
        if now < workspace.rests_until and not run.status.ended:
            # Queued again, or what this step has written would be found only by the slow scan of everything.
            self._due.append(run.id)
            return
        yield from self._in_artifacts(run.id)
        yield from self._in_workspace(run.id, workspace)
        ended = self._clock.monotonic()
        workspace.rests_until = ended + (ended - now) / _SHARE
        if not (workspace.scan.complete and self._artifact_scan.complete):
            self._due.append(run.id)

    def _gone(self) -> Iterator[Signal]:
        """Files in which something was found are looked at again when they change, also after their run."""
        for path, standing in list(self._standing.items()):
            if (state := _state(path)) == standing.state:
                continue
            run = next((self._run(one.labels["run"]) for one in standing.found.values()), None)
            kinds = {finding.kind for finding in scan_file(self._find, path, self._before(run))}
            standing.state, self._unsaved = state, True
            for kind in [kind for kind in standing.found if kind not in kinds]:
                labels = standing.found.pop(kind).labels
                evidence = {"redacted": False, "suspected": is_suspected(kind)}
                yield Signal("secret_found", self._clock.now(), 0.0, labels, evidence)
            if not standing.found:
                del self._standing[path]

    def _in_artifacts(self, below: str) -> Iterator[Signal]:
        for finding in self._artifact_scan.find_new(below):
            path = Path(finding.place).relative_to(self._artifacts)
            run = path.parts[0] if len(path.parts) > 1 else ""
            yield from self._report(finding, f"artifacts/{path}", run, self._agent(run, path.name) if run else "")

    def _agent(self, run: str, name: str) -> str:
        """Who has written an artifact. A finding is told also where the database cannot say that."""
        with contextlib.suppress(SQLAlchemyError):
            return next((one.agent or "" for one in self._table.list(run) if one.name == name), "")
        return ""

    def _in_workspace(self, name: str, workspace: _Workspace) -> Iterator[Signal]:
        for finding in workspace.scan.find_new():
            yield from self._report(finding, finding.place, name, "")

    def _workspace(self, run: Run) -> _Workspace:
        since = (run.started_at or run.created_at).timestamp()
        scan = FolderScan(Path(run.folder), self._find, since=since, left_out=self._own, before=self._before(run))
        return self._workspaces.setdefault(run.id, _Workspace(scan))

    def _before(self, run: Run | None) -> Before:
        return nothing_before if run is None else lambda path: self._original(run, Path(path))

    def _report(self, finding: SecretFinding, place: str, run: str, agent: str) -> Iterator[Signal]:
        """A finding, unless it is known. What is beyond the bound is told each time that it is seen."""
        path, count = Path(finding.place), len(finding.lines)
        labels = {"kind": finding.kind, "place": place, "run": run, "agent": agent}
        known = self._standing.get(path)
        if known is not None and finding.kind in known.found and known.found[finding.kind].count == count:
            return
        if known is not None or len(self._standing) < _MOST_STANDING:
            standing = self._standing.setdefault(path, ScannedFile(_state(path)))
            standing.found[finding.kind] = FoundSecret(labels, count)
            self._unsaved = True
        evidence = {
            "redacted": False,
            "suspected": is_suspected(finding.kind),
            "lines": list(finding.lines[:_SHOWN_LINES]),
        }
        yield Signal("secret_found", self._clock.now(), float(count), labels, evidence)

    def _save_what_is_new(self) -> None:
        """What cannot be written is written with the next look: what was found has to be told in any case."""
        if not self._unsaved:
            return
        with contextlib.suppress(OSError):
            # A name that holds a secret is written nowhere: such a file is told once more after a restart.
            clean = [(path, one) for path, one in self._standing.items() if not self._find(str(path))]
            self._record.write(self._until, clean)
            self._unsaved = False

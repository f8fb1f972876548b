"""Runs: what they wait for, when they last made progress, and whether they take longer than earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.domain.run_status import RunStatus
from orchestration.domain.work_phase import WorkPhase
from orchestration.events import Event
from orchestration.monitoring.collectors.progress import KINDS, expected_seconds, progress_ages, seconds_at_work
from orchestration.runs.activity_text import activity_seconds, lost_seconds
from orchestration.storage.runs import Run, Runs
from orchestration.storage.timeline import HeartbeatRow, Timeline

_PAST_RUNS = 300
_LEARN_EVERY_SECONDS = 60.0
# Of so few, each further one counts, and reading them costs nothing.
_FEW_RUNS = 20
_AT_MOST = 500
# After so long without a round the database was away, or the machine asleep.
_BLIND_SECONDS = 10.0


class RunWatch:
    """Checks all runs of the database, whichever process works on them."""

    def __init__(
        self, runs: Runs, timeline: Timeline, clock: Clock, configuration: Callable[[], Configuration]
    ) -> None:
        self._runs = runs
        self._timeline = timeline
        self._clock = clock
        self._configuration = configuration
        # Since when each run has been at work at the latest, where we saw it begin; None where it was at work before.
        self._working: dict[str, datetime | None] = {}
        self._checked_at: datetime | None = None
        self._past: tuple[Run, ...] = ()
        self._learned_at = float("-inf")

    def collect(self) -> tuple[Signal, ...]:
        """One round of signals. Blocks."""
        waited = self._clock.monotonic() - self._learned_at
        if waited >= _LEARN_EVERY_SECONDS or len(self._past) < _FEW_RUNS:
            self._learned_at = self._clock.monotonic()
            self._past = self._runs.list([RunStatus.SUCCEEDED], limit=_PAST_RUNS)
        unfinished = self._runs.list([RunStatus.RUNNING, RunStatus.WAITING], limit=_AT_MOST)
        names = [run.id for run in unfinished if run.status is RunStatus.RUNNING]
        now = self._clock.now()
        if self._checked_at is not None and (now - self._checked_at).total_seconds() > _BLIND_SECONDS:
            self._working = dict.fromkeys(names, now)  # without the database no run could make progress either
        self._working = {name: self._working.get(name, self._checked_at) for name in names}
        self._checked_at = now
        events, beats = self._timeline.list_of_kinds(names, KINDS), self._timeline.list_heartbeats(*names)
        return tuple(
            signal
            for run in unfinished
            for signal in self._of(run, events.get(run.id, []), [beat for beat in beats if beat.run_id == run.id])
        )

    def expected(self, run: Run) -> float | None:
        """How many seconds a run like this may take at most, from those that have succeeded; None: not known yet."""
        return expected_seconds([_seconds(other) for other in self._past if self._alike(run, other)])

    def _of(self, run: Run, events: Sequence[Event], beats: Sequence[HeartbeatRow]) -> Iterator[Signal]:
        now, labels, drill = self._clock.now(), {"run": run.id}, run.origin.startswith("drill")
        if run.status is RunStatus.WAITING:
            yield Signal("run_waiting", now, 1.0, labels, {"reason": run.reason}, drill)
            return
        yield from _unplaced(beats, now, labels, drill=drill)
        # A run's status changes before its events are written: the age from before the wait must not be reported.
        since = self._working.get(run.id)
        most = math.inf if since is None else (now - since).total_seconds()
        for agent, known in progress_ages(events, beats, now).items():
            age = min(known, most)
            activities = [beat.activity for beat in beats if beat.agent == agent]
            evidence: dict[str, object] = {
                "activities": activities,
                "priority": run.priority,
                "who": agent or "the run itself",
                "doing": activities[0] if activities else "unknown",
            }
            yield Signal("progress_age_seconds", now, age, {**labels, "agent": agent}, evidence, drill)
        if (expected := self.expected(run)) is not None:
            taken = seconds_at_work(events, now)
            evidence = {"seconds": round(taken, 1), "expected_seconds": round(expected, 1)}
            yield Signal("run_overdue_ratio", now, taken / expected, labels, evidence, drill)

    def _alike(self, run: Run, other: Run) -> bool:
        """The same agent, and both rehearsed or both not: a rehearsal model is no measure for a real one."""
        if other.agent != run.agent or other.finished_at is None:
            return False
        return self._rehearsed(run) == bool(((other.outcome or {}).get("use") or {}).get("rehearsal"))

    def _rehearsed(self, run: Run) -> bool:
        configuration = self._configuration()
        settings = configuration.provider(run.provider or configuration.runtime.default_provider)
        return settings is not None and settings.type is ProviderKind.REHEARSAL


def _unplaced(
    beats: Sequence[HeartbeatRow], now: datetime, labels: Mapping[str, str], *, drill: bool
) -> Iterator[Signal]:
    """For how long each agent has waited for a worker with its label. The last heartbeat stays in its table after the
    agent was placed, or its run was left by every process."""
    for beat in beats:
        if beat.phase == WorkPhase.UNPLACED and lost_seconds(beat, now) is None:
            its = {**labels, "agent": beat.agent, "label": beat.about}
            yield Signal("unplaced_seconds", now, activity_seconds(beat, now), its, {"doing": beat.activity}, drill)


def _seconds(run: Run) -> float:
    started = run.started_at or run.created_at
    return (run.finished_at - started).total_seconds() if run.finished_at else 0.0

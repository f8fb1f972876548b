"""The progress of runs: the age of the last progress, the time at work, the expected time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median

from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentStarted
from orchestration.events.runs import (
    ApprovalDecided,
    ApprovalRequested,
    RunCancelled,
    RunContinued,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    RunWaiting,
)
from orchestration.storage.timeline import HeartbeatRow

# The events that show whether a run is at work, and which of its agents are.
_BEGINS = frozenset({RunStarted.kind, RunContinued.kind, ApprovalDecided.kind})
# After these, the age of progress starts at zero for every agent that was at work before.
_GOES_ON = frozenset({RunResumed.kind, RunContinued.kind, ApprovalDecided.kind})
_PAUSES = frozenset({RunWaiting.kind, ApprovalRequested.kind, RunStopped.kind, RunFinished.kind, RunCancelled.kind})
KINDS = _BEGINS | _GOES_ON | _PAUSES | {AgentStarted.kind, AgentFinished.kind}

# Half-width of the usual range in standard deviations, and what makes one of a median deviation if times are normal.
_SPREAD = 3.0
_MAD_TO_DEVIATION = 1.4826
_ENOUGH_RUNS = 5
_FLOOR_SECONDS = 60.0


def progress_ages(events: Sequence[Event], beats: Sequence[HeartbeatRow], now: datetime) -> Mapping[str, float]:
    """Seconds since the last progress of each agent at work, by agent; of several tasks of one agent the oldest.

    Between two agents it is the run itself that has to get on, with its checks for instance: then the agent is empty,
    and the last event or sign of whatever counts.
    """
    at_work = _agents_at_work(events)
    if not at_work:
        signs = (*(event.at for event in events), *(beat.progress_at for beat in beats))
        last = max(signs, default=None)
        return {} if last is None else {"": _age(last, now)}
    latest = {beat.agent_run_id: beat.progress_at for beat in beats}
    ages: dict[str, float] = {}
    for task, (agent, started) in at_work.items():
        age = _age(max(started, latest.get(task, started)), now)
        ages[agent] = max(age, ages.get(agent, 0.0))
    return ages


def furthest_behind(
    events: Sequence[Event], beats: Sequence[HeartbeatRow], now: datetime
) -> tuple[float, HeartbeatRow | None]:
    """Of a run's tasks at work the one that has got on least recently: seconds since then, and its last heartbeat, if
    there was one. Between two agents it is the run itself."""
    told = {beat.agent_run_id: beat for beat in beats}
    tasks = [
        (_age(max(started, told[task].progress_at) if task in told else started, now), task)
        for task, (_, started) in _agents_at_work(events).items()
    ]
    if tasks:
        age, task = max(tasks)
        return age, told.get(task)
    newest = max(beats, key=lambda beat: beat.progress_at, default=None)
    return max(progress_ages(events, beats, now).values(), default=0.0), newest


def seconds_at_work(events: Iterable[Event], now: datetime) -> float:
    """How long a run has been at work since it was started or last resumed; waiting does not count."""
    total, since = 0.0, None
    for event in events:
        if event.kind == RunResumed.kind:
            total, since = 0.0, event.at
        elif event.kind in _BEGINS and since is None:
            since = event.at
        elif event.kind in _PAUSES and since is not None:
            total, since = total + _age(since, event.at), None
    return total if since is None else total + _age(since, now)


def expected_seconds(past: Sequence[float], floor: float = _FLOOR_SECONDS) -> float | None:
    """How long a run may be expected to take at most, from how long others took; None while too few are known.

    The median plus three deviations, estimated from the median absolute deviation, so that one run that hung
    for a night does not raise the expectation to a night.
    """
    if len(past) < _ENOUGH_RUNS:
        return None
    middle = median(past)
    deviation = _MAD_TO_DEVIATION * median(abs(seconds - middle) for seconds in past)
    return max(floor, middle + _SPREAD * deviation)


def _agents_at_work(events: Iterable[Event]) -> dict[str, tuple[str, datetime]]:
    at_work: dict[str, tuple[str, datetime]] = {}
    for event in events:
        if isinstance(event.payload, AgentStarted):
            at_work[event.payload.agent_run_id] = (event.agent or "", event.at)
        elif isinstance(event.payload, AgentFinished):
            at_work.pop(event.payload.agent_run_id, None)
        elif event.kind in _GOES_ON:
            at_work = {name: (agent, event.at) for name, (agent, _) in at_work.items()}
    return at_work


def _age(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())

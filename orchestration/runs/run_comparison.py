"""Two runs side by side: what they were to do, how, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.events import Event
from orchestration.events.agents import AgentPrepared
from orchestration.runs.run_time import TIME_KINDS, run_time
from orchestration.runs.waterfall import AGENT_KINDS, CALL_KINDS, AgentLane, Waterfall, waterfall
from orchestration.storage.runs import Run
from orchestration.storage.timeline import Timeline


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """One property of both runs, as text; empty where a run has none."""

    name: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        return self.left != self.right


@dataclass(frozen=True, slots=True)
class ComparedStep:
    """What one agent did in either run. None where a run has no such step: a fork has none of those that it shares with
    its origin."""

    name: str
    left: StepFigures | None
    right: StepFigures | None


@dataclass(frozen=True, slots=True)
class StepFigures:
    """The figures of one agent's work."""

    title: str
    state: str
    model_calls: int
    tool_calls: int
    failed_calls: int
    tokens: int
    usd: float
    seconds: float


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Both runs with their properties and steps. `is_fork`: one was forked from the other."""

    left: str
    right: str
    is_fork: bool
    values: Sequence[ComparedValue]
    steps: Sequence[ComparedStep]


class RunComparisons:
    """Compares runs."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def compare(self, left: Run, right: Run, now: datetime) -> RunComparison:
        """The comparison as of now."""
        kinds = {*AGENT_KINDS, *CALL_KINDS, *TIME_KINDS, AgentPrepared.kind}
        events = self._timeline.list_of_kinds({left.id, right.id}, kinds)
        is_fork = right.forked_from == left.id or left.forked_from == right.id
        sides = [_Side(run, events[run.id], now) for run in (left, right)]
        return RunComparison(left.id, right.id, is_fork, tuple(_values(*sides)), tuple(_steps(*sides)))


class _Side:
    """One of the two runs, with what is computed from its events."""

    def __init__(self, run: Run, events: Sequence[Event], now: datetime) -> None:
        self.run = run
        self.time = run_time(run, [event for event in events if event.kind in TIME_KINDS], now)
        agents = [event for event in events if event.kind in AGENT_KINDS]
        calls = [(number, event) for number, event in enumerate(events) if event.kind in CALL_KINDS]
        began, until = run.started_at or run.created_at, run.finished_at or now
        self.fall: Waterfall = waterfall(agents, calls, began, until)
        self.prepared = [event.payload for event in events if isinstance(event.payload, AgentPrepared)]

    def steps(self) -> Mapping[str, AgentLane]:
        return {lane.id.removeprefix(f"{self.run.id}."): lane for lane in self.fall.lanes}

    def values(self) -> Iterator[tuple[str, str]]:
        run, outcome = self.run, self.run.outcome or {}
        routes = dict.fromkeys(f"{one.provider}/{one.model}" if one.model else one.provider for one in self.prepared)
        yield "Goal", run.goal.strip()
        yield "Status", run.status.value
        yield "Reason", run.reason
        yield "Review", ": ".join(filter(None, (str(outcome.get("verdict") or ""), str(outcome.get("review") or ""))))
        yield "Workspace", run.workspace
        yield "Agent", run.agent or "all of the workflow"
        yield "Asked first", ", ".join(routes) or run.provider or ""
        yield "Configuration", f"version {run.config_version}" if run.config_version else ""
        yield "Priority", run.priority
        yield "Checks", "; ".join(" ".join(check) for check in run.options.get("checks", ()))
        limits = [name for name in ("seconds", "tokens", "usd") if name in run.options]
        yield "Limits", ", ".join(f"{run.options[name]:g} {name}" for name in limits)
        yield "Took", f"{self.time.working:.1f} s"
        yield "Waited", ", ".join(f"{use.value} {seconds:.0f} s" for use, seconds in self.time.others)
        yield "Tokens", f"{self.fall.tokens:,}"
        yield "Cost", f"${self.fall.usd:,.4f}"


def _values(left: _Side, right: _Side) -> Iterator[ComparedValue]:
    for (name, one), (_, other) in zip(left.values(), right.values(), strict=True):
        if one or other:
            yield ComparedValue(name, one, other)


def _steps(left: _Side, right: _Side) -> Iterator[ComparedStep]:
    one, other = left.steps(), right.steps()
    for name in dict.fromkeys([*one, *other]):
        yield ComparedStep(name, _figures(one.get(name)), _figures(other.get(name)))


def _figures(lane: AgentLane | None) -> StepFigures | None:
    if lane is None:
        return None
    end = lane.ended or max([call.ended for call in lane.calls], default=lane.began)
    return StepFigures(
        lane.title,
        lane.state,
        model_calls=sum(call.kind == "model" for call in lane.calls),
        tool_calls=sum(call.kind == "tool" for call in lane.calls),
        failed_calls=sum(not call.ok for call in lane.calls),
        tokens=lane.tokens,
        usd=lane.usd,
        seconds=(end - lane.began).total_seconds(),
    )

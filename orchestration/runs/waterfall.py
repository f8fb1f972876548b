"""A run as a waterfall: its agents, and below each agent its model and tool calls on a common time axis.

Pure: it is computed from events. A call is reported when it ends, so its start is its end minus its duration; what is
still under way is known from the record that was begun of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestration.events import Event
from orchestration.events.agents import (
    AgentFinished,
    AgentInterrupted,
    AgentStarted,
    ToolCallFinished,
    ToolCallRefused,
    Usage,
)
from orchestration.events.providers import CallAttempt, ModelCallFailed, ModelCallFinished
from orchestration.events.runs import CheckFinished
from orchestration.storage.call_records import CallRecord

AGENT_KINDS = (AgentStarted.kind, AgentFinished.kind, AgentInterrupted.kind)
_ModelCall = ModelCallFinished | ModelCallFailed
_Call = _ModelCall | ToolCallFinished | ToolCallRefused | CheckFinished
# The kinds of the events that stand for calls.
CALL_KINDS = (
    ModelCallFinished.kind,
    ModelCallFailed.kind,
    ToolCallFinished.kind,
    ToolCallRefused.kind,
    CheckFinished.kind,
)
WIDTH = 1000.0
# Shorter bars would be invisible: 1 ms of a run of ten minutes is less than a pixel.
_MIN_WIDTH = 2.0


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A position on the time axis, in thousandths of the run's duration."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class CallBar:
    """A model or tool call, or a check. `key` names its record; `usd` is None if the price is not known; `fallback`
    means that more than one route was tried. One that is `open` is under way, or was cut off with its process."""

    number: int
    kind: str
    name: str
    about: str
    ok: bool
    began: datetime
    ended: datetime
    span: TimeSpan
    outcome: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    usd: float | None = None
    first_token: float | None = None
    rehearsal: bool = False
    attempts: tuple[CallAttempt, ...] = ()
    key: str = ""
    open: bool = False

    @property
    def retries(self) -> int:
        """The attempts after the first one."""
        return max(0, len(self.attempts) - 1)

    @property
    def fallback(self) -> bool:
        return len({attempt.route for attempt in self.attempts}) > 1

    @property
    def seconds(self) -> float:
        return (self.ended - self.began).total_seconds()


@dataclass(slots=True)
class AgentLane:
    """One agent working on one task. `resumed` counts how often it was continued in another process."""

    id: str
    agent: str
    title: str
    began: datetime
    ended: datetime | None = None
    state: str = "running"
    message: str = ""
    resumed: int = 0
    use: Usage | None = None
    span: TimeSpan = field(default_factory=lambda: TimeSpan(0.0, 0.0))
    calls: list[CallBar] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """The tokens of the whole task once it has finished; until then those of the calls that are shown."""
        return self.use.tokens if self.use else sum(call.tokens for call in self.calls)

    @property
    def usd(self) -> float:
        return self.use.usd if self.use else sum(call.usd or 0.0 for call in self.calls)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All lanes of a run. `loose` are the calls that belong to no lane."""

    began: datetime
    ended: datetime
    lanes: tuple[AgentLane, ...]
    loose: tuple[CallBar, ...]

    @property
    def seconds(self) -> float:
        return (self.ended - self.began).total_seconds()

    @property
    def tokens(self) -> int:
        return sum(lane.tokens for lane in self.lanes)

    @property
    def usd(self) -> float:
        return sum(lane.usd for lane in self.lanes)


def waterfall(
    agents: Iterable[Event],
    calls: Sequence[tuple[int, Event]],
    began: datetime,
    until: datetime,
    begun: Iterable[CallRecord] = (),
) -> Waterfall:
    """Build the waterfall from the agent events of the whole run, the call events that are to be shown, and the calls
    that have begun and not ended. `until` is the end of the run, or now."""
    lanes = _lanes(agents)
    # At least a millisecond, because positions are divided by the duration. Events may be later than `until`: clocks of
    # several hosts differ, and calls can finish after their run was cancelled.
    ended = max([began + timedelta(milliseconds=1), until, *(event.at for _, event in calls)])
    loose: list[CallBar] = []
    for number, event in calls:
        payload = event.payload
        if isinstance(payload, _Call):
            lane = lanes.get(_agent_run(payload))
            (loose if lane is None else lane.calls).append(call_bar(number, event.at, payload, began, ended))
    for record in begun:
        lane = lanes.get(agent_run_of(record.key))
        end = ended if lane is None else lane.ended or ended
        (loose if lane is None else lane.calls).append(_open_call(record, began, end))
    for lane in lanes.values():
        lane.span = _span(lane.began, lane.ended or ended, began, ended)
    return Waterfall(began, ended, tuple(lanes.values()), tuple(loose))


def _lanes(events: Iterable[Event]) -> dict[str, AgentLane]:
    lanes: dict[str, AgentLane] = {}
    for event in events:
        payload = event.payload
        if not isinstance(payload, AgentStarted | AgentInterrupted | AgentFinished):
            continue
        lane = lanes.get(payload.agent_run_id)
        match payload:
            case AgentStarted() if lane is None:
                lanes[payload.agent_run_id] = AgentLane(
                    payload.agent_run_id, event.agent or "", payload.title, event.at
                )
            case AgentStarted() if lane is not None:
                lane.resumed += 1
                lane.state, lane.ended = "running", None
            case AgentInterrupted() if lane is not None:
                lane.state, lane.ended = "interrupted", event.at
            case AgentFinished(failing=failing) if lane is not None:
                lane.state, lane.ended = ("failed" if failing else "done"), event.at
                lane.message = failing.message if failing else ""
                lane.use = payload.use
    return lanes


def agent_run_of(key: str) -> str:
    """The agent run that a call belongs to: the part of its key before the call's number."""
    return key.rpartition("/")[0]


def _agent_run(payload: _Call) -> str:
    return "" if isinstance(payload, ToolCallRefused) else agent_run_of(payload.key or "")


def _open_call(record: CallRecord, begin: datetime, end: datetime) -> CallBar:
    ended = max(record.started_at, end)
    span = _span(record.started_at, ended, begin, max(end, begin + timedelta(milliseconds=1)))
    kind = record.kind.value
    name = kind if kind == "check" else f"{kind} call"
    began = record.started_at
    return CallBar(0, kind, name, "", ok=True, began=began, ended=ended, span=span, key=record.key, open=True)


def call_bar(number: int, at: datetime, payload: _Call, begin: datetime, end: datetime) -> CallBar:
    began = at - timedelta(seconds=0.0 if isinstance(payload, ToolCallRefused) else payload.seconds)
    span = _span(began, at, begin, end)
    match payload:
        case ToolCallRefused():
            about = f"{payload.what}: {payload.reason}"
            return CallBar(number, "refused", "refused", about, ok=False, began=began, ended=at, span=span)
        case ToolCallFinished():
            return CallBar(number, "tool", payload.tool, payload.about, payload.ok, began, at, span, key=payload.key)
        case CheckFinished():
            ok = payload.exit_code == 0
            return CallBar(number, "check", "check", payload.command, ok, began, at, span, key=payload.key)
        case ModelCallFinished() | ModelCallFailed():
            return _model_call(number, payload, began, at, span)


def _model_call(number: int, call: _ModelCall, began: datetime, ended: datetime, span: TimeSpan) -> CallBar:
    ok = isinstance(call, ModelCallFinished)
    bar = CallBar(
        number, "model", call.route or "no route", "", ok, began, ended, span, call.outcome, attempts=call.tries
    )
    bar = replace(bar, key=call.key or "")
    if not isinstance(call, ModelCallFinished):
        return bar
    return replace(
        bar,
        tokens=call.tokens,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        cached_tokens=call.cached_tokens,
        estimated=call.estimated,
        usd=call.usd,
        first_token=call.first_token_seconds,
        rehearsal=call.rehearsal,
    )


def _span(began: datetime, ended: datetime, begin: datetime, end: datetime) -> TimeSpan:
    """The position of an interval, at least `_MIN_WIDTH` wide and never outside the axis."""
    whole = (end - begin).total_seconds()
    x = min(WIDTH - _MIN_WIDTH, max(0.0, (began - begin).total_seconds() / whole * WIDTH))
    right = min(WIDTH, (ended - begin).total_seconds() / whole * WIDTH)
    return TimeSpan(round(x, 1), round(max(_MIN_WIDTH, right - x), 1))

"""A run as a waterfall: its agents, and below each agent its model and tool calls on a common time axis.

Pure: it is computed from events. A call is reported when it ends, so its start is its end minus its duration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from orchestration.events import Event

AGENT_KINDS = ("agent.started", "agent.finished", "agent.interrupted", "agent.retried")
CALL_KINDS = ("model_call.finished", "model_call.failed", "tool_call.finished", "tool_call.refused")
WIDTH = 1000.0
# Shorter bars would be invisible: 1 ms of a run of ten minutes is less than a pixel.
_MIN_WIDTH = 2.0


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A position on the time axis, in thousandths of the run's duration."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class AttemptBar:
    """One attempt of a model call."""

    route: str
    outcome: str
    seconds: float
    detail: str
    status: int | None


@dataclass(frozen=True, slots=True)
class CallBar:
    """A model or tool call. `usd` is None if the price is not known; `fallback` means that more than one route was
    tried."""

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
    estimated: bool = False
    usd: float | None = None
    first_token: float | None = None
    rehearsal: bool = False
    attempts: tuple[AttemptBar, ...] = ()

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
    use: Mapping[str, Any] = field(default_factory=dict)
    span: TimeSpan = field(default_factory=lambda: TimeSpan(0.0, 0.0))
    calls: list[CallBar] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """The tokens of the whole task once it has finished; until then those of the calls that are shown."""
        return int(self.use["tokens"]) if self.use else sum(call.tokens for call in self.calls)

    @property
    def usd(self) -> float:
        return float(self.use["usd"]) if self.use else sum(call.usd or 0.0 for call in self.calls)


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
    agents: Iterable[Event], calls: Sequence[tuple[int, Event]], began: datetime, until: datetime
) -> Waterfall:
    """Build the waterfall from the agent events of the whole run and the call events that are to be shown. `until` is
    the end of the run, or now."""
    lanes = _lanes(agents)
    ended = max([began + timedelta(milliseconds=1), until, *(event.at for _, event in calls)])
    loose: list[CallBar] = []
    for number, event in calls:
        if event.kind not in CALL_KINDS:
            continue
        call = _call(number, event, began, ended)
        lane = lanes.get(_agent_run(event))
        (loose if lane is None else lane.calls).append(call)
    for lane in lanes.values():
        lane.span = _span(lane.began, lane.ended or ended, began, ended)
    return Waterfall(began, ended, tuple(lanes.values()), tuple(loose))


def _lanes(events: Iterable[Event]) -> dict[str, AgentLane]:
    lanes: dict[str, AgentLane] = {}
    for event in events:
        key = str(event.data.get("agent_run_id", ""))
        lane = lanes.get(key)
        if event.kind == "agent.started" and lane is None:
            lanes[key] = AgentLane(key, event.agent or "", str(event.data.get("title", "")), event.at)
        elif event.kind == "agent.started" and lane is not None:
            lane.resumed += 1
            lane.state, lane.ended = "running", None
        elif event.kind == "agent.interrupted" and lane is not None:
            lane.state, lane.ended = "interrupted", event.at
        elif event.kind == "agent.finished" and lane is not None:
            failing = event.data.get("failing")
            lane.state, lane.ended = ("failed" if failing else "done"), event.at
            lane.message = str(failing["message"]) if failing else ""
            lane.use = event.data.get("use") or {}
    return lanes


def _agent_run(event: Event) -> str:
    """The agent run that a call belongs to: named in the event, or the part of its key before the call's number."""
    return str(event.data.get("agent_run_id") or str(event.data.get("key") or "").rpartition("/")[0])


def _call(number: int, event: Event, begin: datetime, end: datetime) -> CallBar:
    data = event.data
    began = event.at - timedelta(seconds=float(data.get("seconds") or 0.0))
    span = _span(began, event.at, begin, end)
    if event.kind == "tool_call.refused":
        about = f"{data.get('what', '')}: {data.get('reason', '')}"
        return CallBar(number, "refused", "refused", about, ok=False, began=began, ended=event.at, span=span)
    if event.kind == "tool_call.finished":
        name, about, ok = str(data.get("tool")), str(data.get("about") or ""), bool(data.get("ok"))
        return CallBar(number, "tool", name, about, ok=ok, began=began, ended=event.at, span=span)
    return CallBar(
        number=number,
        kind="model",
        name=str(data.get("route") or "no route"),
        about="",
        ok=event.kind == "model_call.finished",
        began=began,
        ended=event.at,
        span=span,
        outcome=str(data.get("outcome", "")),
        tokens=int(data.get("tokens") or 0),
        prompt_tokens=int(data.get("prompt_tokens") or 0),
        completion_tokens=int(data.get("completion_tokens") or 0),
        estimated=bool(data.get("estimated")),
        usd=data.get("usd"),
        first_token=data.get("first_token_seconds"),
        rehearsal=bool(data.get("rehearsal")),
        attempts=tuple(_attempt(one) for one in data.get("tries") or ()),
    )


def _attempt(one: Mapping[str, Any]) -> AttemptBar:
    return AttemptBar(
        str(one.get("route", "")),
        str(one.get("outcome", "")),
        float(one.get("seconds") or 0.0),
        str(one.get("detail") or ""),
        one.get("status"),
    )


def _span(began: datetime, ended: datetime, begin: datetime, end: datetime) -> TimeSpan:
    """The position of an interval, at least `_MIN_WIDTH` wide and never outside the axis."""
    whole = (end - begin).total_seconds()
    x = min(WIDTH - _MIN_WIDTH, max(0.0, (began - begin).total_seconds() / whole * WIDTH))
    right = min(WIDTH, (ended - begin).total_seconds() / whole * WIDTH)
    return TimeSpan(round(x, 1), round(max(_MIN_WIDTH, right - x), 1))

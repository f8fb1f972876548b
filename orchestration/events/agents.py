"""Events of agents: their work, their tool calls and their signs of progress."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Why an agent did not deliver: a stable name for rules, and words for people."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What work used up: active seconds, model calls, tokens, dollars; `rehearsal` when no real model answered."""

    seconds: float
    model_calls: int
    tokens: int
    usd: float
    rehearsal: bool


@dataclass(frozen=True, slots=True)
class AgentStarted(EventPayload):
    """An agent began its task, here or again in another process."""

    kind: ClassVar[str] = "agent.started"
    template: ClassVar[str] = "started: {title}"
    followed: ClassVar[bool] = True

    agent_run_id: str
    title: str


@dataclass(frozen=True, slots=True)
class AgentInterrupted(EventPayload):
    """An agent was interrupted; it goes on elsewhere or never."""

    kind: ClassVar[str] = "agent.interrupted"
    template: ClassVar[str] = "interrupted"

    agent_run_id: str


@dataclass(frozen=True, slots=True)
class AgentFinished(EventPayload):
    """An agent delivered, or gave up: then `failing` has the cause."""

    kind: ClassVar[str] = "agent.finished"
    followed: ClassVar[bool] = True

    agent_run_id: str
    failing: FailureCause | None
    use: Usage

    def sentence(self) -> str:
        if self.failing is not None:
            return f"failed: {self.failing.message}"
        use = self.use
        money = f", ${use.usd:.4f}" if use.usd else ""
        label = " [rehearsal]" if use.rehearsal else ""
        return f"done in {use.seconds:.1f} s, {use.model_calls} model calls, {use.tokens} tokens{money}{label}"


@dataclass(frozen=True, slots=True)
class AgentRetried(EventPayload):
    """An agent starts over with a fresh conversation after a failed attempt."""

    kind: ClassVar[str] = "agent.retried"
    template: ClassVar[str] = "starts over ({reason})"
    level: ClassVar[int] = logging.WARNING
    followed: ClassVar[bool] = True

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class AgentProgressed(EventPayload):
    """A heartbeat: what an agent is doing, and the tokens of the answer that is arriving."""

    kind: ClassVar[str] = "agent.progress"
    template: ClassVar[str] = "{activity}"
    level: ClassVar[int] = logging.DEBUG

    agent_run_id: str
    activity: str
    tokens: int


@dataclass(frozen=True, slots=True)
class ToolCallFinished(EventPayload):
    """A tool call ended. `key` names its step, `after` the last step committed before it."""

    kind: ClassVar[str] = "tool_call.finished"
    followed: ClassVar[bool] = True

    agent_run_id: str
    key: str
    tool: str
    about: str
    ok: bool
    seconds: float
    after: int | None = None

    def sentence(self) -> str:
        return f"{self.tool} {self.about}".rstrip() + ("" if self.ok else " (failed)")


@dataclass(frozen=True, slots=True)
class ToolCallRefused(EventPayload):
    """A tool call was not permitted."""

    kind: ClassVar[str] = "tool_call.refused"
    template: ClassVar[str] = "tool call refused: {reason}"
    level: ClassVar[int] = logging.ERROR
    followed: ClassVar[bool] = True

    about: str
    what: str
    reason: str

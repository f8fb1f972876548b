"""Events of agents: their work, their tool calls and their signs of progress."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Why an agent did not deliver: a stable name for rules, words for people, and the class of an unexpected error."""

    kind: str
    message: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What work used up: active seconds, model calls, tokens (some of them from a vendor's prompt cache), dollars;
    `rehearsal` when no real model answered."""

    seconds: float
    model_calls: int
    tokens: int
    usd: float
    rehearsal: bool
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class AgentStarted(EventPayload):
    """An agent began its task, here or again in another process."""

    kind: ClassVar[str] = "agent.started"
    template: ClassVar[str] = "started: {title}"
    followed: ClassVar[bool] = True

    agent_run_id: str
    title: str


@dataclass(frozen=True, slots=True)
class AgentPrepared(EventPayload):
    """An agent has taken its settings from the configuration: for its task, for another attempt of the run, or because
    its time was up and might have been extended."""

    kind: ClassVar[str] = "agent.prepared"

    agent_run_id: str
    attempt: int
    # Unknown while the database could not be asked when the file was read.
    config_version: int | None
    provider: str
    model: str | None
    # The agent's own limit of time; None means that only the run's counts.
    seconds: float | None
    tools: tuple[str, ...]

    def sentence(self) -> str:
        version = "" if self.config_version is None else f"version {self.config_version} of "
        route = self.provider if self.model is None else f"{self.provider}/{self.model}"
        limit = "" if self.seconds is None else f", {self.seconds:g} s"
        return f"attempt {self.attempt} works with {version}the configuration: {route}{limit}"


@dataclass(frozen=True, slots=True)
class AgentUnplaced(EventPayload):
    """An agent cannot begin: it runs on a label (`runsOn`) that no worker has."""

    kind: ClassVar[str] = "agent.unplaced"
    template: ClassVar[str] = (
        'waits for a worker with the label "{label}", and none is running; '
        "start one: orchestrator worker --label {label}"
    )
    level: ClassVar[int] = logging.WARNING
    followed: ClassVar[bool] = True

    agent_run_id: str
    label: str


@dataclass(frozen=True, slots=True)
class AgentInterrupted(EventPayload):
    """An agent was interrupted; it goes on elsewhere or never."""

    # Ends the agent's bar in the waterfall and its line in the live view; until the agent starts again it is not at
    # work.
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
    # The version of the configuration that it worked with; events of earlier versions do not have it.
    config_version: int | None = None

    def sentence(self) -> str:
        if self.failing is not None:
            return f"failed: {self.failing.message}"
        use = self.use
        # Four digits, because a call may cost much less than a cent; a local model costs nothing, and has no price to
        # show.
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
class HistoryCondensed(EventPayload):
    """The older part of an agent's conversation was replaced by a summary, since it did not fit the context of the
    model: `messages` of it, by the model's own words or, without `by_model`, by a list of what was done."""

    kind: ClassVar[str] = "agent.history_condensed"
    template: ClassVar[str] = "summed up {messages} older messages to fit {window} tokens"
    followed: ClassVar[bool] = True

    agent_run_id: str
    messages: int
    window: int
    by_model: bool


@dataclass(frozen=True, slots=True)
class AgentProgressed(EventPayload):
    """A heartbeat: what an agent is doing, for how long, the tokens of the answer that is arriving, and the end of what
    is heard or printed."""

    # The kind of version 0.1, which clients know; only the type was renamed.
    kind: ClassVar[str] = "agent.progress"
    template: ClassVar[str] = "{activity}"
    # Heartbeats would drown everything else in the log. The timeline keeps only the last of each agent, too
    # (`storage/timeline.py`).
    level: ClassVar[int] = logging.DEBUG

    agent_run_id: str
    activity: str
    tokens: int
    # One of `WorkPhase`; empty from releases that did not tell.
    phase: str = ""
    # The model's route, or what the tool is used for.
    about: str = ""
    # Estimated.
    prompt_tokens: int = 0
    # How many calls are served before this one, while it is queued.
    ahead: int | None = None
    # How long the activity has lasted.
    seconds: float = 0.0
    tail: str = ""
    # False for a mere sign of life, by which a stall does not end.
    progressed: bool = True


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
    # For steps that run side by side, which do not wait for the step before them. With it, the timeline alone can prove
    # that no committed step was repeated (`workflows/step_count.py`).
    after: int | None = None

    def sentence(self) -> str:
        return f"{self.tool} {self.about}".rstrip() + ("" if self.ok else " (failed)")


@dataclass(frozen=True, slots=True)
class HostsReached(EventPayload):
    """A command reached for hosts of the network, of which it may reach some; `refused` are those that it may not."""

    kind: ClassVar[str] = "command.hosts"
    followed: ClassVar[bool] = True

    permitted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def sentence(self) -> str:
        parts = [("reached", self.permitted), ("was kept from", self.refused)]
        told = "; ".join(f"{what} {', '.join(hosts)}" for what, hosts in parts if hosts)
        return f"the command {told or 'reached for no host'}"


@dataclass(frozen=True, slots=True)
class ToolCallRefused(EventPayload):
    """A tool call was not permitted; `assessment` is slip, suspicious or attack, and `because` says of what."""

    kind: ClassVar[str] = "tool_call.refused"
    template: ClassVar[str] = "tool call refused: {reason}"
    # Not an error: models slip all the time, and every line at ERROR counts towards the alert `errors-logged`.
    level: ClassVar[int] = logging.WARNING
    followed: ClassVar[bool] = True

    # `about` is one of a few words, since it becomes the label of a metric; `what` may be anything that a model writes.
    about: str
    what: str
    reason: str
    # Rows of earlier releases are without these.
    assessment: str | None = None
    because: str | None = None

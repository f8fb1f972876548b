"""The settings of an agent, and what it has used of what it may use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from orchestration.config.usage_limits import UsageLimits
from orchestration.domain.framework import Framework
from orchestration.workflows.model import AgentTask, AgentUsage, FailingCheck, RunLimits, StoredRecord

T = TypeVar("T")


class ToolRule(StoredRecord):
    """How a tool that does not ship is called: `reads` if it only reads, `once` if a call must not be repeated, `asks`
    if a person has to approve each call."""

    reads: bool = False
    once: bool = False
    asks: bool = False


class AgentSetup(StoredRecord):
    """The settings of this agent in one attempt of the run, with the version of the configuration that they are from.

    `run_limits` are those of the whole run, where they may have changed since the agent got its task. `context_tokens`
    is the context of its model, where it is known. The rules of its `own_tools` are kept, since the steps of a call
    follow from them, and have to be the same on replay.
    """

    added = (
        *("attempt", "config_version", "run_limits", "parameters", "context_tokens"),
        *("own_tools", "program", "framework"),
    )

    system: str
    tools: tuple[dict[str, Any], ...]
    limits: dict[str, Any]
    attempts: int
    provider: str | None
    model: str | None
    entry_point: str | None
    attempt: int = 1
    config_version: int | None = None
    run_limits: RunLimits | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    context_tokens: int | None = None
    own_tools: dict[str, ToolRule] = Field(default_factory=dict)
    program: tuple[str, ...] = ()
    framework: Framework | None = None

    @property
    def is_own_code(self) -> bool:
        """Whether the user's own code does the work: a function or a program in the place of a model."""
        return self.entry_point is not None or bool(self.program)

    @property
    def own_code_name(self) -> str:
        return self.entry_point or Path(self.program[0]).name


class AgentGaveUpError(Exception):
    """The agent gives up; `failing` says why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.failing = FailingCheck(kind=kind, message=message)


class UsageBudget:
    """What the agent has used in all its attempts, and whether it may continue."""

    def __init__(self) -> None:
        self.use = AgentUsage()
        self.last_number = 0
        self._seconds: float | None = None
        self._model_calls: int | None = None
        self._calls_are_the_runs = False

    def next_number(self) -> int:
        """A number for the next step that costs something. It is the same on replay, so it can key the accounting."""
        self.last_number += 1
        return self.last_number

    def limit(self, setup: AgentSetup, task: AgentTask) -> None:
        """Set the limits of time and model calls: the agent's own or what is left of the run's, whichever is less."""
        limits = UsageLimits.model_validate(setup.limits)
        of_run = task if setup.run_limits is None else task.with_limits(setup.run_limits)
        self._seconds = least(limits.seconds, of_run.seconds)
        self._model_calls = least(limits.model_calls, of_run.model_calls)
        self._calls_are_the_runs = of_run.model_calls is not None and self._model_calls != limits.model_calls

    def raise_time(self, setup: AgentSetup, task: AgentTask) -> None:
        """Set the limit of time anew if it has become higher."""
        before, calls = self._seconds, self._model_calls
        self.limit(setup, task)
        if before is not None and self._seconds is not None:
            self._seconds = max(before, self._seconds)
        self._model_calls = calls

    def add(self, use: AgentUsage) -> None:
        """Add usage."""
        self.use = self.use.plus(use)

    def seconds_left(self) -> float | None:
        """Working time that is left; None without a limit."""
        return None if self._seconds is None else self._seconds - self.use.seconds

    @property
    def calls_left(self) -> int | None:
        """Model calls that are left; None without a limit."""
        return None if self._model_calls is None else self._model_calls - self.use.model_calls

    @property
    def time_is_up(self) -> bool:
        left = self.seconds_left()
        return left is not None and left <= 0

    def check(self) -> None:
        """Raise AgentGaveUpError if the time or the model calls are used up."""
        if self._model_calls is not None and self.use.model_calls >= self._model_calls:
            # What the whole run may use is used up: no failure of the agent which happens to be at work.
            kind = "run_limit" if self._calls_are_the_runs else "too_many_model_calls"
            raise AgentGaveUpError(kind, f"not finished after {self._model_calls} model calls")
        if self.time_is_up:
            raise AgentGaveUpError("time_limit", f"not finished within its {self._seconds:g} s of working time")


def least(*limits: T | None) -> T | None:
    given: list[Any] = [limit for limit in limits if limit is not None]
    return min(given, default=None)

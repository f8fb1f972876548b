"""A run to be started, from whatever surface: what it is to do, where, by whom, and for how much. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRIORITIES = ("low", "normal", "high")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A run to start. Without an agent all of the workflow take part; without a provider, the configuration's is asked.

    `checks` are commands that must succeed at the end, `approve` are agents that may start only when a person has said
    so. A `model` is one of the provider's, for the agents that ask this provider. `seconds`, `tokens` and `usd` bound
    the run; None for what the configuration says. In a git repository it works in a worktree, or `in_place`.
    """

    goal: str
    workspace: Path
    agent: str | None = None
    provider: str | None = None
    priority: str = "normal"
    checks: Sequence[Sequence[str]] = ()
    approve: Sequence[str] = ()
    seconds: float | None = None
    tokens: int | None = None
    usd: float | None = None
    in_place: bool | None = None
    model: str | None = None

    def arguments(self) -> dict[str, Any]:
        """What `RunLauncher.start` takes beside the goal and the workspace."""
        return {
            "agent": self.agent,
            "provider": self.provider,
            "priority": self.priority,
            "in_place": self.in_place,
            "options": self.options(),
        }

    def options(self) -> dict[str, Any]:
        """The options of the run, as they are stored with it."""
        chosen = {} if self.model is None else {"model": self.model}
        limits = {"seconds": self.seconds, "tokens": self.tokens, "usd": self.usd}
        return {
            "checks": [list(check) for check in self.checks],
            "approve": list(self.approve),
            **chosen,
            **{name: limit for name, limit in limits.items() if limit is not None},
        }

    def command(self) -> str:
        """The console command that starts the same run."""
        return shlex.join(["orchestrator", "run", *self._words(), self.goal])

    def _words(self) -> Iterator[str]:
        yield from ("--workspace", str(self.workspace))
        if self.agent:
            yield from ("--agent", self.agent)
        if self.provider:
            yield from ("--provider", self.provider)
        if self.model:
            yield from ("--model", self.model)
        if self.priority != "normal":
            yield from ("--priority", self.priority)
        for check in self.checks:
            yield from ("--check", shlex.join(check))
        for agent in self.approve:
            yield from ("--approve", agent)
        for name, limit in (("--seconds", self.seconds), ("--tokens", self.tokens), ("--usd", self.usd)):
            if limit is not None:
                yield from (name, f"{limit:g}" if isinstance(limit, float) else str(limit))
        if self.in_place is not None:
            yield "--in-place" if self.in_place else "--worktree"

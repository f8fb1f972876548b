"""What one model call has used, and whose it was. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from orchestration.domain.budget import SpentAmount

CLIENT_PREFIX = "client:"
"""Begins the agent of a call that a client of the gateway has made; the id of its token, or its user, follows."""
SERVED = "ok"
# Outcomes of calls that we have not let through, and of those that their caller has ended.
REFUSED = frozenset({"budget", "limit"})
_NO_FAILURE = REFUSED | {SERVED, "cancelled"}


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call has used; `usd` is None if no price is known.

    A call that was refused or has failed is recorded, too, with what it has used nevertheless. Of the prompt's tokens,
    `cached_tokens` were read from the vendor's cache and `cache_written_tokens` written to it; of the answer's,
    `thinking_tokens` were thoughts, as far as the vendor says so.
    """

    key: str
    run_id: str | None
    agent: str | None
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    at: datetime
    team: str | None = None
    outcome: str = SERVED
    cached_tokens: int = 0
    cache_written_tokens: int = 0
    thinking_tokens: int = 0

    @property
    def client(self) -> str | None:
        """The client whose call it was; None for a call of an agent."""
        return client_of(self.agent)

    @property
    def amount(self) -> SpentAmount:
        return SpentAmount(self.prompt_tokens + self.completion_tokens, self.usd or 0.0)

    @property
    def is_refused(self) -> bool:
        return self.outcome in REFUSED

    @property
    def is_failed(self) -> bool:
        return self.outcome not in _NO_FAILURE

    def subjects(self) -> Iterator[str]:
        """Whose budgets it counts for."""
        yield PROJECT
        if self.client is not None:
            yield subject("key", self.client)
        elif self.agent:
            yield subject("agent", self.agent)
        if self.team:
            yield subject("team", self.team)
        if self.provider:
            yield subject("provider", self.provider)
            yield subject("model", f"{self.provider}/{self.model}")
            yield subject("model", self.model)
        if self.run_id:
            yield run_subject(self.run_id)
            if self.agent:
                yield run_subject(self.run_id, self.agent)


PROJECT = "project"


def client_of(agent: str | None) -> str | None:
    """The client that calls under this agent's name; None if it is an agent."""
    return agent.removeprefix(CLIENT_PREFIX) if agent and agent.startswith(CLIENT_PREFIX) else None


def subject(kind: str, name: str) -> str:
    """Whose budget it is, as it is stored."""
    return f"{kind}:{name}"


def run_subject(run_id: str, agent: str | None = None) -> str:
    """A run, or an agent in it, as whose budget it is is stored."""
    return f"run:{run_id}/{agent}" if agent else f"run:{run_id}"

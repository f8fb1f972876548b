"""Events of providers: model calls, and routes that open and close."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class CallAttempt:
    """One attempt of a model call, at one route (`provider/model`)."""

    route: str
    outcome: str
    status: int | None
    seconds: float
    detail: str

    @property
    def names(self) -> tuple[str, str]:
        """The provider and the model. A model's own name may hold slashes (`github/openai/gpt-4.1`)."""
        provider, _, model = self.route.partition("/")
        return provider, model


@dataclass(frozen=True, slots=True)
class CallUse:
    """What a model call has used in all its attempts, as it is charged under `key`: prompt and answer, of them from the
    cache, written to it and thoughts, and whose it was."""

    key: str
    # Empty if no route was tried.
    route: str
    prompt_tokens: int
    completion_tokens: int
    usd: float | None = None
    cached_tokens: int = 0
    cache_written_tokens: int = 0
    thinking_tokens: int = 0
    team: str | None = None


@dataclass(frozen=True, slots=True)
class ModelCallFinished(EventPayload):
    """A route answered a model call; `tries` are all attempts, the failed ones too."""

    kind: ClassVar[str] = "model_call.finished"
    template: ClassVar[str] = "{route} answered: {tokens} tokens in {seconds:.1f} s"

    # A step's own key, by which the cost of a call that is repeated after a crash is recorded once.
    key: str | None
    outcome: str
    seconds: float
    tries: tuple[CallAttempt, ...]
    route: str
    first_token_seconds: float | None
    tokens: int
    prompt_tokens: int
    completion_tokens: int
    # Some servers report no usage; then the tokens are an estimate, and every figure that is made of them says so.
    estimated: bool
    # None where no price is known, which is not the same as free.
    usd: float | None
    rehearsal: bool
    # Of the prompt's; events of earlier versions do not have it.
    cached_tokens: int = 0
    use: CallUse | None = None


@dataclass(frozen=True, slots=True)
class ModelCallFailed(EventPayload):
    """No route answered a model call; `route` is the last that was tried."""

    kind: ClassVar[str] = "model_call.failed"
    template: ClassVar[str] = "no answer from a model: {outcome}"
    level: ClassVar[int] = logging.ERROR

    key: str | None
    outcome: str
    seconds: float
    tries: tuple[CallAttempt, ...]
    route: str | None
    use: CallUse | None = None


@dataclass(frozen=True, slots=True)
class RouteEvent(EventPayload):
    """A change of a route's circuit breaker, opened `openings` times in a row, and probed again at `probe_at`."""

    route: str
    provider: str
    reason: str
    detail: str
    openings: int
    # Seconds since 1970, as in the breaker's state, which several processes share; None where no probe is planned.
    probe_at: float | None

    @property
    def names(self) -> tuple[str, str]:
        """The provider and the model. A model's own name may hold slashes (`github/openai/gpt-4.1`)."""
        provider, _, model = self.route.partition("/")
        return provider, model


@dataclass(frozen=True, slots=True)
class RouteOpened(RouteEvent):
    """A route is taken out of use because it fails."""

    # Not an error: calls fail over. Whether the provider is down depends on all of its routes, which its collector
    # knows.
    kind: ClassVar[str] = "route.opened"
    template: ClassVar[str] = "{route} is out of use: {reason}"
    followed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RouteClosed(RouteEvent):
    """A route is in use again."""

    kind: ClassVar[str] = "route.closed"
    template: ClassVar[str] = "{route} works again"
    followed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RouteHalfOpen(RouteEvent):
    """A route that was out of use is probed with one call."""

    # Not followed: while a provider is away, each probe would be a line.
    kind: ClassVar[str] = "route.half_open"
    template: ClassVar[str] = "{route} is being probed"


@dataclass(frozen=True, slots=True)
class LearnedForgotten(EventPayload):
    """A person has had the models of some providers learned anew: what they understand, and how much they read."""

    kind: ClassVar[str] = "provider.learned_forgotten"

    providers: tuple[str, ...]

    def sentence(self) -> str:
        return f"what is known of the models of {', '.join(self.providers)} is learned anew"


@dataclass(frozen=True, slots=True)
class BudgetReached(EventPayload):
    """A budget has reached its soft or its hard limit, for the first time in this period."""

    kind: ClassVar[str] = "budget.reached"
    template: ClassVar[str] = "{owner} has reached its {reached} limit of {limit} for the {period}: {used} used"
    level: ClassVar[int] = logging.WARNING

    owner: str
    # As it is stored: `key:token-…`, `team:research`, `model:azure/gpt-5`, `project`.
    subject: str
    # `soft`, or `hard`, at which calls are refused.
    reached: str
    period: str
    used: str
    limit: str
    # The end of the period, in the time zone of the budget.
    until: str

"""How a provider's failures are classed, and what each class means for the next move. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestration.errors import OrchestratorError
from orchestration.providers.dialects.context_overflow import ContextOverflow
from orchestration.providers.wire import BudgetStanding, Route, RouteTry


class FailureKind(StrEnum):
    """The classes of failure; the value is also the log field and the metric label."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    AUTHENTICATION = "authentication"
    MODEL_MISSING = "model_missing"
    RETIRED = "retired"
    CONTENT_FILTER = "content_filter"
    BAD_REQUEST = "bad_request"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt. `retry_after` is in seconds, None if the provider sent none. `confirmed` means that no
    immediate retry is needed, `overflow` that the request was longer than the model's context.

    `unproven`: the request may be the cause, so a probe has to fail, too, before the route is closed to others.
    `elsewhere`: the request does not suit this route, and another may serve it.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after: float | None = None
    confirmed: bool = False
    overflow: ContextOverflow | None = None
    unproven: bool = False
    elsewhere: bool = False

    @property
    def is_proof(self) -> bool:
        """Whether it proves something about the route. An answer that is empty or broken may be due to its request."""
        return not self.unproven and self.kind is not FailureKind.MALFORMED


class GatewayError(OrchestratorError):
    """A model call failed; `tries` lists the attempts. `outcome` is its name in the call's event."""

    outcome = "error"

    def __init__(self, message: str, tries: tuple[RouteTry, ...] = ()) -> None:
        super().__init__(message)
        self.tries = tries


class NoRouteError(GatewayError):
    """No provider can answer now. The work can wait: the same call may succeed later.

    `retry_at` is the earliest moment, in monotonic seconds, at which a route may work again; None if only a person can
    help (a key, a model, a provider that is gone). `hints` say what to do, one line each.
    """

    outcome = "no_route"

    def __init__(
        self,
        message: str,
        tries: tuple[RouteTry, ...] = (),
        *,
        retry_at: float | None = None,
        hints: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, tries)
        self.retry_at = retry_at
        self.hints = hints


class StreamInterruptedError(NoRouteError):
    """An answer broke off after its first tokens had been delivered. They cannot be taken back: repeat the request."""

    outcome = "broken_off"


class RequestRefusedError(GatewayError):
    """The request itself is at fault (bad request, content filter): no other route would do better."""

    def __init__(self, message: str, failure: Failure, route: Route, tries: tuple[RouteTry, ...] = ()) -> None:
        super().__init__(message, tries)
        self.failure = failure
        self.kind = failure.kind
        self.outcome = failure.kind.value
        self.route = route


class ConversationTooLongError(GatewayError):
    """The conversation does not fit the route's context of `window` tokens unless turns of it are left out, which the
    caller wanted to do itself."""

    outcome = "too_long"

    def __init__(self, route: Route, window: int, tries: tuple[RouteTry, ...] = ()) -> None:
        super().__init__(f"the conversation is too long for {route}, which reads {window:,} tokens", tries)
        self.route = route
        self.window = window


class BudgetExceededError(GatewayError):
    """A budget has no tokens or no money left for the call. A hard stop before it is made. `standings` are the budgets
    of a day or a month that it counts for."""

    outcome = "budget"
    standings: tuple[BudgetStanding, ...] = ()

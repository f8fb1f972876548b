"""The circuit breaker of one route. Pure: the time is an argument, in seconds since 1970, so that it can be shared.

closed → open when failures come together (or one comes that time does not mend); open → half-open when a probe is due,
for that one probe; half-open → closed when it succeeds, → open, for longer, when it does not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from orchestration.providers.failures import Failure, FailureKind


class BreakerState(StrEnum):
    """Whether a route may be used."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


# One failure is enough: it was confirmed by a retry on the spot, or no second try can go better.
_TRIP_AT_ONCE = frozenset(
    {
        FailureKind.UNREACHABLE,
        FailureKind.MALFORMED,
        FailureKind.QUOTA,
        FailureKind.AUTHENTICATION,
        FailureKind.MODEL_MISSING,
        FailureKind.RETIRED,
    }
)
_COUNT = frozenset({FailureKind.TIMEOUT, FailureKind.OVERLOADED})
# Only a person can mend these: a new key, another provider. No probe is made.
_UNTIL_CHANGED = frozenset({FailureKind.AUTHENTICATION, FailureKind.RETIRED})
_QUOTA_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When to trip and when to probe; seconds."""

    failures: int = 2
    window: float = 60.0
    probe_after: float = 5.0
    probe_at_most: float = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker's state.

    `probe_at` is None while closed, and where only a change by a person can help. `held_until` is the end of a wait
    that the provider asked for, during which the route is whole but not to be used.
    """

    state: BreakerState = BreakerState.CLOSED
    reason: str = ""
    since: float = 0.0
    probe_at: float | None = None
    openings: int = 0
    held_until: float = 0.0
    failures: tuple[float, ...] = ()

    def admits(self, now: float) -> bool:
        """Whether a request may use the route now."""
        return self.state is BreakerState.CLOSED and now >= self.held_until

    def probe_due(self, now: float) -> bool:
        """Whether it is time for a probe; from the moment it is taken up, no other is."""
        return self.state is BreakerState.OPEN and self.probe_at is not None and now >= self.probe_at

    def usable_at(self) -> float | None:
        """The earliest moment at which the route may be used again; None when only a person can help."""
        return self.held_until if self.state is BreakerState.CLOSED else self.probe_at

    def half_opened(self, now: float) -> Breaker:
        """The state while the one probe is under way."""
        return replace(self, state=BreakerState.HALF_OPEN, since=now, probe_at=None)

    def succeeded(self, now: float) -> Breaker:
        """The state after an answer or a successful probe."""
        return Breaker(since=now) if self.state is not BreakerState.CLOSED or self.failures else self

    def failed(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        """The state after a failed attempt or probe."""
        if failure.kind is FailureKind.RATE_LIMITED and self.state is BreakerState.CLOSED:
            return replace(self, held_until=max(self.held_until, now + (failure.retry_after or 1.0)))
        if self.state is BreakerState.HALF_OPEN:
            return self._opened(failure, now, rules)
        if failure.kind in _TRIP_AT_ONCE:
            return self._opened(failure, now, rules)
        if failure.kind not in _COUNT or self.state is BreakerState.OPEN:
            return self
        recent = (*(moment for moment in self.failures if moment > now - rules.window), now)
        if len(recent) >= rules.failures:
            return self._opened(failure, now, rules)
        return replace(self, failures=recent)

    def reset(self, now: float) -> Breaker:
        """Open with a probe due at once: something changed that may have mended the route."""
        return self if self.state is BreakerState.CLOSED else replace(self, state=BreakerState.OPEN, probe_at=now)

    def _opened(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        openings = self.openings + 1
        wait: float | None = min(rules.probe_after * 2 ** min(openings - 1, 16), rules.probe_at_most)
        if failure.kind is FailureKind.QUOTA:
            wait = failure.retry_after or _QUOTA_SECONDS
        elif failure.kind in _UNTIL_CHANGED:
            wait = None
        return Breaker(
            state=BreakerState.OPEN,
            reason=failure.kind.value,
            since=now,
            probe_at=None if wait is None else now + wait,
            openings=openings,
        )

    def as_json(self) -> dict[str, Any]:
        """The state for other processes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Breaker:
        """The state of another process. A probe that another has under way counts as one not due here."""
        return cls(**{**data, "state": BreakerState(data["state"]), "failures": tuple(data["failures"])})

"""The circuit breaker of one route. Pure: time is an argument, in seconds since 1970, so that states can be shared.

closed → open when failures come close together, or one comes that time does not heal; open → half-open when a probe is
due, for that one probe; half-open → closed when the probe succeeds, or → open, for longer, when it fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from orchestration.providers.failures import Failure, FailureKind


class BreakerState(StrEnum):
    """Whether a route may be used."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


# One failure is enough: an immediate retry has confirmed it, or no retry can go better.
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
# One slow or overloaded answer is no outage; several within the window are.
_COUNT = frozenset({FailureKind.TIMEOUT, FailureKind.OVERLOADED})
# Only a person can fix these, with a new key, another provider, or at the vendor's.
NEEDS_A_PERSON = frozenset({FailureKind.AUTHENTICATION, FailureKind.RETIRED})
# What a person does at the vendor's is seen by a probe alone. They are rare: a vendor may count rejected requests.
_PERSON_SECONDS = 300.0
# These end by themselves, at any moment, and a probe costs next to nothing: with pauses that grow, a provider that is
# back after a minute would be left unused for another.
_SOON_BACK = frozenset({FailureKind.UNREACHABLE, FailureKind.TIMEOUT, FailureKind.OVERLOADED})
# Where a used-up quota has no reset time. Quotas reset by the day or month; an hour keeps the probes rare without
# leaving the route closed for long after a top-up.
_QUOTA_SECONDS = 3600.0
# The pause after a 429 without Retry-After. Ollama, for one, never sends one.
_DEFAULT_RATE_LIMIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When to trip and when to probe, in seconds."""

    failures: int = 2
    window: float = 60.0
    probe_after: float = 5.0
    probe_at_most: float = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker's state.

    `probe_at` is None while closed, and while a probe is in progress. `held_until` is the end of a Retry-After, during
    which the route works but must not be used.
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
        """Whether a probe is due. Once it is in progress the route is half-open, so no second one is."""
        return self.state is BreakerState.OPEN and self.probe_at is not None and now >= self.probe_at

    def usable_at(self) -> float | None:
        """The earliest moment at which the route may be used again; None if only a person can help."""
        if self.state is BreakerState.CLOSED:
            return self.held_until
        return None if self.reason in NEEDS_A_PERSON else self.probe_at

    def half_opened(self, now: float) -> Breaker:
        """The state while the one probe is in progress."""
        return replace(self, state=BreakerState.HALF_OPEN, since=now, probe_at=None)

    def succeeded(self) -> Breaker:
        """The state after an answer. An open route stays open: that call began before the route failed, so its success
        proves nothing about now."""
        return replace(self, failures=()) if self.state is BreakerState.CLOSED and self.failures else self

    def failed(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        """The state after a failed attempt.

        If the route is open already, failures of calls in progress add nothing, however many there are, unless one
        shows that only a person can help.
        """
        if self.state is not BreakerState.CLOSED:
            worse = failure.kind in NEEDS_A_PERSON and self.reason not in NEEDS_A_PERSON
            return self._opened(failure, now, rules) if worse else self
        if failure.kind in _TRIP_AT_ONCE:
            return self._opened(failure, now, rules)
        held = self._held(failure, now)
        if failure.kind not in _COUNT:
            return held
        recent = (*(moment for moment in self.failures if moment > now - rules.window), now)
        if len(recent) >= rules.failures:
            return self._opened(failure, now, rules)
        return replace(held, failures=recent)

    def probe_failed(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        """The state after the one probe has failed."""
        return self._opened(failure, now, rules)

    def recovered(self, now: float) -> Breaker:
        """The state after a successful probe: closed, with a clean history."""
        return self if self.state is BreakerState.CLOSED else Breaker(since=now)

    def reset(self, now: float) -> Breaker:
        """Open, with a probe due at once: something has changed that may have fixed the route."""
        return self if self.state is BreakerState.CLOSED else replace(self, state=BreakerState.OPEN, probe_at=now)

    def merged(self, other: Breaker) -> Breaker:
        """The states of two processes combined: the newer change of state, and the later end of a Retry-After.

        A probe in progress here decides, whatever another process has found before.
        """
        if self.state is BreakerState.HALF_OPEN:
            return self
        newer = other if other.since > self.since else self
        held_until = max(self.held_until, other.held_until) if newer.state is BreakerState.CLOSED else 0.0
        return newer if newer.held_until == held_until else replace(newer, held_until=held_until)

    def _held(self, failure: Failure, now: float) -> Breaker:
        wait = failure.retry_after
        if wait is None and failure.kind is FailureKind.RATE_LIMITED:
            wait = _DEFAULT_RATE_LIMIT_SECONDS
        return self if wait is None else replace(self, held_until=max(self.held_until, now + wait))

    def _opened(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        openings = self.openings + 1
        # The exponent is bounded, since a route that stays down for months would overflow the number.
        doublings = 0 if failure.kind in _SOON_BACK else min(openings - 1, 16)
        wait = min(rules.probe_after * 2**doublings, rules.probe_at_most)
        if failure.kind is FailureKind.QUOTA:
            wait = failure.retry_after or _QUOTA_SECONDS
        elif failure.kind in NEEDS_A_PERSON:
            wait = max(_PERSON_SECONDS, rules.probe_at_most)
        elif failure.retry_after is not None:
            wait = max(wait, failure.retry_after)
        return Breaker(
            state=BreakerState.OPEN,
            reason=failure.kind.value,
            since=now,
            probe_at=now + wait,
            openings=openings,
        )

    def as_json(self) -> dict[str, Any]:
        """The state for other processes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Breaker:
        """The state of another process, perhaps of another release. Raises ValueError if the data is not a state."""
        try:
            known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
            state, failures = BreakerState(known["state"]), tuple(known.get("failures", ()))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected the state of a breaker, got {data!r}") from error
        return cls(**{**known, "state": state, "failures": failures})

"""The circuit breaker of one route. Pure: time is an argument, in seconds since 1970, so that states can be shared.

closed → open when failures come close together, or one comes that time does not heal; open → half-open when a probe is
due, for that one probe; half-open → closed when the probe succeeds, or → open, for longer, when it fails.

A failure that one request may have caused opens nothing by itself: it makes a probe due while calls go on (a shadow
probe), and the route is opened if that fails, too. So is the end of a wait found out that is longer than can be meant.
"""

from __future__ import annotations

import math
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
# Failures that concern the provider and not one model, so they open the breakers of all its routes.
PROVIDER_WIDE = frozenset({FailureKind.UNREACHABLE, FailureKind.AUTHENTICATION, FailureKind.RETIRED})
# Only a person can fix these, with a new key, another provider, or at the vendor's.
NEEDS_A_PERSON = frozenset({FailureKind.AUTHENTICATION, FailureKind.RETIRED})
# What a person does at the vendor's is seen by a probe alone. They are rare: a vendor may count rejected requests.
_PERSON_SECONDS = 300.0
# These end by themselves, at any moment, and a probe costs next to nothing: with pauses that grow, a provider that is
# back after a minute would be left unused for another.
_SOON_BACK = frozenset({FailureKind.UNREACHABLE, FailureKind.TIMEOUT, FailureKind.OVERLOADED})
# While calls would use the route, what costs the vendor nothing is probed twice as often, and what it may count as an
# offence as rarely as anything.
_RARE = frozenset({FailureKind.QUOTA, *NEEDS_A_PERSON})
# A provider may be asked for something else by a call where there is no other: these may be over at any moment.
_WORTH_A_TRIAL = frozenset({*_SOON_BACK, FailureKind.MALFORMED})
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

    `probe_at` is None while a probe is in progress, and while closed unless a shadow probe is due. `held_until` is the
    end of a Retry-After, during which the route works but must not be used.
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

    @property
    def is_worth_a_trial(self) -> bool:
        """Whether a call may find out that the failure is over, where no other route can answer it."""
        return self.state is not BreakerState.CLOSED and self.reason in _WORTH_A_TRIAL

    @property
    def is_at_rest(self) -> bool:
        """Whether no probe is due, in progress or planned."""
        return self.state is BreakerState.CLOSED and self.probe_at is None

    def probe_due(self, now: float, rules: BreakerRules | None = None) -> bool:
        """Whether a probe is due; with `rules`, as calls would use the route now. Once it is in progress, `probe_at` is
        None, so no second one is."""
        if self.probe_at is None or now >= self.probe_at:
            return self.probe_at is not None
        if rules is None or self.state is BreakerState.CLOSED:
            return False
        sooner = rules.probe_at_most if self.reason in _RARE else rules.probe_after / 2
        return now >= max(self.held_until, self.since + sooner)

    def usable_at(self) -> float | None:
        """The earliest moment at which the route may be used again; None if only a person can help."""
        if self.state is BreakerState.CLOSED:
            return self.held_until if self.probe_at is None else min(self.held_until, self.probe_at)
        return None if self.reason in NEEDS_A_PERSON else self.probe_at

    def shadow_probed(self) -> Breaker:
        """The state while a shadow probe is in progress."""
        return replace(self, probe_at=None)

    def shadow_succeeded(self, now: float) -> Breaker:
        """The state after a shadow probe has succeeded: the route works, and may be used."""
        return Breaker(since=now, held_until=0.0) if self.state is BreakerState.CLOSED else self

    def shadow_failed(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        """The state after a shadow probe has failed. A refusal for a rate limit says that the route works."""
        if self.state is not BreakerState.CLOSED:
            return self
        return (
            self._held(failure, now, rules)
            if failure.kind is FailureKind.RATE_LIMITED
            else self._opened(failure, now, rules)
        )

    def half_opened(self, now: float) -> Breaker:
        """The state while the one probe is in progress."""
        return replace(self, state=BreakerState.HALF_OPEN, since=now, probe_at=None)

    def succeeded(self) -> Breaker:
        """The state after an answer. An open route stays open: that call began before the route failed, so its success
        proves nothing about now."""
        if self.state is not BreakerState.CLOSED or not self.failures:
            return self
        return replace(self, failures=(), probe_at=self.probe_at if self.held_until else None)

    def failed(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        """The state after a failed attempt.

        If the route is open already, failures of calls in progress add nothing, however many there are, unless one
        shows that only a person can help.
        """
        if self.state is not BreakerState.CLOSED:
            worse = failure.kind in NEEDS_A_PERSON and self.reason not in NEEDS_A_PERSON
            return self._opened(failure, now, rules) if worse else self
        if failure.kind in _TRIP_AT_ONCE and failure.is_proof:
            return self._opened(failure, now, rules)
        held = self._held(failure, now, rules)
        if failure.kind not in _COUNT | _TRIP_AT_ONCE:
            return held
        recent = (*(moment for moment in self.failures if moment > now - rules.window), now)
        enough = len(recent) >= rules.failures or failure.kind in _TRIP_AT_ONCE
        if enough and failure.is_proof:
            return self._opened(failure, now, rules)
        # Not sooner after the last: somebody may send what fails, ten times a second.
        due = max(now, self.since + rules.probe_after) if enough else math.inf
        earliest = min(due, math.inf if held.probe_at is None else held.probe_at)
        kept = recent[-rules.failures :]
        return replace(held, failures=kept, probe_at=None if earliest == math.inf else earliest)

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
        same = other.since == self.since and other.state is self.state is BreakerState.CLOSED
        if not same or other.held_until <= self.held_until:
            return newer
        return replace(self, held_until=other.held_until, probe_at=other.probe_at)

    def _held(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        wait = failure.retry_after
        if wait is None and failure.kind is FailureKind.RATE_LIMITED:
            wait = _DEFAULT_RATE_LIMIT_SECONDS
        if wait is None:
            return self
        # A server that asks for a day may be back in a minute: what is longer than that is probed meanwhile.
        probe_at = now + rules.probe_at_most if wait > rules.probe_at_most else self.probe_at
        return replace(self, held_until=max(self.held_until, now + wait), probe_at=probe_at)

    def _opened(self, failure: Failure, now: float, rules: BreakerRules) -> Breaker:
        openings = self.openings + 1
        # The exponent is bounded, since a route that stays down for months would overflow the number.
        doublings = 0 if failure.kind in _SOON_BACK else min(openings - 1, 16)
        wait = min(rules.probe_after * 2**doublings, rules.probe_at_most)
        asked = min(failure.retry_after or 0.0, rules.probe_at_most)
        if failure.kind in NEEDS_A_PERSON:
            wait = max(_PERSON_SECONDS, rules.probe_at_most)
        elif failure.kind is FailureKind.QUOTA and failure.retry_after is None:
            wait = rules.probe_at_most
        else:
            wait = asked if failure.kind is FailureKind.QUOTA else max(wait, asked)
        return Breaker(
            state=BreakerState.OPEN,
            reason=failure.kind.value,
            since=now,
            probe_at=now + wait,
            openings=openings,
            held_until=now + asked if asked else 0.0,
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

"""One route of the gateway: its breaker, its provider's concurrency, and its latest results."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from orchestration.config.providers.kinds import find_provider_kind
from orchestration.config.providers.settings import ProviderSettings
from orchestration.domain.provider_kind import ProviderKind
from orchestration.providers.breaker import Breaker, BreakerRules
from orchestration.providers.dialects.context_window import BYTES_PER_TOKEN
from orchestration.providers.dialects.learned import LearnedDialect
from orchestration.providers.endpoint import Endpoint
from orchestration.providers.failures import Failure
from orchestration.providers.shared_slots import SharedSlots
from orchestration.providers.token_bucket import TokenBucket
from orchestration.providers.trial import TrialPace
from orchestration.providers.wire import ModelApi, Route

# So many are enough to know what is usual, and few enough to follow when that changes.
_KEPT_FIRST_TOKENS = 30


class ProviderState:
    """A configured provider: its endpoint and its use. The object stays the same when the settings change.

    `slots` are those that the processes of this machine share, `in_use` counts the calls of this process.
    `answers_during_calls`: it is known to answer probes while it works on a call, so silence to both means that it is
    gone. `last_parallel_probe` is the time of the last probe during a call, in seconds of the event loop, and its
    failure; the lock `probing` makes one probe serve all calls.
    """

    def __init__(self, endpoint: Endpoint, slots: SharedSlots | None = None) -> None:
        self.endpoint = endpoint
        self.slots = slots or SharedSlots(None)
        self.in_use = 0
        self.limit = endpoint.settings.concurrency
        self.headroom: dict[str, float] = {}
        self.answers_during_calls = _answers_during_calls(endpoint.settings)
        self.last_parallel_probe: tuple[float, Failure | None] = (float("-inf"), None)
        self.probing = asyncio.Lock()
        self._buckets: dict[str, TokenBucket] = {}
        self._set_rates(0.0)

    @property
    def settings(self) -> ProviderSettings:
        """The settings in force."""
        return self.endpoint.settings

    @property
    def rehearsal(self) -> bool:
        """Whether no real model answers here."""
        return self.settings.type is ProviderKind.REHEARSAL

    def renew(self, endpoint: Endpoint, now: float) -> Endpoint:
        """Switch to other settings; returns the previous endpoint, which may still have calls in progress."""
        before, self.endpoint = self.endpoint, endpoint
        self.answers_during_calls = _answers_during_calls(endpoint.settings)
        if before.settings.concurrency != endpoint.settings.concurrency:
            self.limit = endpoint.settings.concurrency
        self._set_rates(now)
        return before

    def try_acquire(self, now: float) -> bool:
        """Occupy a slot for one call, if one is free."""
        if self.in_use >= self.limit or not self.slots.take(self.limit, now):
            return False
        self.in_use += 1
        self.count(now, requests=1)
        return True

    def release(self, now: float) -> None:
        """Free the slot of a call that has ended; `now` as in `wait`."""
        self.in_use -= 1
        self.slots.give_back(self.limit, now)

    def wait(self, now: float) -> float:
        """Seconds until our own limits on requests and tokens in a minute let another call through.

        `now` is monotonic, so that a change of the wall clock neither blocks nor floods a provider.
        """
        return max((bucket.wait(now) for bucket in self._buckets.values()), default=0.0)

    def count(self, now: float, *, requests: int = 0, tokens: int = 0) -> None:
        """Count requests and tokens against our own limits; `now` as in `wait`."""
        for name, units in (("requests", requests), ("tokens", tokens)):
            if name in self._buckets and units:
                self._buckets[name].take(units, now)

    def _set_rates(self, now: float) -> None:
        rates = {"requests": self.settings.requests_per_minute, "tokens": self.settings.tokens_per_minute}
        for name, rate in rates.items():
            if rate is None:
                self._buckets.pop(name, None)
            elif name in self._buckets:
                self._buckets[name].resize(rate, now)
            else:
                self._buckets[name] = TokenBucket(rate)


def _answers_during_calls(settings: ProviderSettings) -> bool:
    """Whether a provider surely answers a probe while it works on a call: by its kind, or as a vendor's own service. A
    compatible server at an address of the user's own may do one thing at a time."""
    kind = find_provider_kind(settings.type)
    return kind is not None and (kind.answers_during_calls or settings.base_url is None)


@dataclass(slots=True, eq=False)
class RouteRecord:
    """What the gateway knows about a route. `unsynced` until other processes can read the breaker's state.

    `learned` is shared with other processes and survives a restart. `guessed_window`, in tokens, is the context to
    assume after a refusal that named none, until a monotonic time; `bytes_per_token` is how dense the text for the
    model is. `asked_at` is when the provider was asked for the context, before and after the model was loaded
    (monotonic). `api` is what was last asked of it, and by which it is probed. `wanted_at` is when a call would last
    have used the route while it was open (monotonic), `trial` the pace of the calls that try it all the same, and
    `first_tokens` how many seconds recent calls have waited for theirs. All of that is known here only.
    """

    route: Route
    provider: ProviderState
    breaker: Breaker = field(default_factory=Breaker)
    unsynced: bool = False
    last_failure: str = ""
    last_seconds: float | None = None
    learned: LearnedDialect = field(default_factory=LearnedDialect)
    guessed_window: int | None = None
    guessed_until: float = 0.0
    bytes_per_token: float = BYTES_PER_TOKEN
    asked_at: dict[bool, float] = field(default_factory=dict)
    api: ModelApi = ModelApi.CHAT
    wanted_at: float = float("-inf")
    trial: TrialPace = field(default_factory=TrialPace)
    first_tokens: deque[float] = field(default_factory=partial(deque, maxlen=_KEPT_FIRST_TOKENS))

    def forget(self) -> None:
        """Forget what was guessed of the model."""
        self.guessed_window, self.bytes_per_token = None, BYTES_PER_TOKEN
        self.asked_at.clear()

    def with_listed(self, now: float) -> LearnedDialect:
        """What is known, with what the provider has last said of the context of its model. It is taken over once, or it
        would never expire."""
        return self.learned.with_listed(self.provider.endpoint.windows.pop(self.route.model, None), now)

    @property
    def rules(self) -> BreakerRules:
        """When the breaker trips, by the settings in force."""
        settings = self.provider.settings.breaker
        return BreakerRules(settings.failures, settings.window, settings.probe_after, settings.probe_at_most)


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """The state of a route, for display."""

    provider: str
    model: str
    state: str
    reason: str
    since: datetime | None
    usable_at: datetime | None
    in_use: int
    limit: int
    headroom: dict[str, float]
    last_failure: str
    last_seconds: float | None
    rehearsal: bool


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a probe ended; `outcome` is `ok` or a class of failure."""

    provider: str
    outcome: str
    detail: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the provider answered."""
        return self.outcome == "ok"


def status_of(record: RouteRecord) -> RouteStatus:
    """The current state of a route."""
    breaker, provider = record.breaker, record.provider
    usable_at = breaker.usable_at()
    return RouteStatus(
        provider=record.route.provider,
        model=record.route.model,
        state=breaker.state.value,
        reason=breaker.reason,
        since=datetime.fromtimestamp(breaker.since, UTC) if breaker.since else None,
        usable_at=datetime.fromtimestamp(usable_at, UTC) if usable_at else None,
        in_use=provider.in_use,
        limit=provider.limit,
        headroom=dict(provider.headroom),
        last_failure=record.last_failure,
        last_seconds=record.last_seconds,
        rehearsal=provider.rehearsal,
    )

"""One route of the gateway: its breaker, its place at the provider, and what was last seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import anyio

from orchestration.config.schema import ProviderKind, ProviderSettings
from orchestration.providers.breaker import Breaker, BreakerRules
from orchestration.providers.endpoint import Endpoint
from orchestration.providers.limits import TokenBucket
from orchestration.providers.wire import Route


class Provider:
    """A configured provider: its endpoint and how much is asked of it."""

    def __init__(self, endpoint: Endpoint) -> None:
        settings = endpoint.settings
        self.endpoint = endpoint
        self.slots = anyio.CapacityLimiter(settings.concurrency)
        self.headroom: dict[str, float] = {}
        rates = {"requests": settings.requests_per_minute, "tokens": settings.tokens_per_minute}
        self._buckets = {name: TokenBucket(rate) for name, rate in rates.items() if rate is not None}

    @property
    def settings(self) -> ProviderSettings:
        return self.endpoint.settings

    @property
    def rehearsal(self) -> bool:
        return self.settings.type is ProviderKind.REHEARSAL

    def wait(self, now: float) -> float:
        """Seconds until our own limits on requests and tokens in a minute let another call through."""
        return max((bucket.wait(now) for bucket in self._buckets.values()), default=0.0)

    def count(self, now: float, *, requests: int = 0, tokens: int = 0) -> None:
        """Count what was asked of the provider."""
        for name, units in (("requests", requests), ("tokens", tokens)):
            if name in self._buckets and units:
                self._buckets[name].take(units, now)


@dataclass(slots=True)
class RouteRecord:
    """What the gateway knows of a route."""

    route: Route
    provider: Provider
    breaker: Breaker = field(default_factory=Breaker)
    said_at: datetime | None = None
    last_failure: str = ""
    last_seconds: float | None = None

    @property
    def rules(self) -> BreakerRules:
        settings = self.provider.settings.breaker
        return BreakerRules(settings.failures, settings.window, settings.probe_after, settings.probe_at_most)


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """A route as it is shown to people."""

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
        return self.outcome == "ok"

"""The limits of tokens on concurrent requests and on requests per minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestration.providers.token_bucket import TokenBucket
from orchestration.storage.access import TokenRow
from orchestration.web.gateway.errors import BadRequestError

# OpenAI's clients take a `Retry-After` of 0 for none at all, and then come back after half a second.
_MIN_WAIT_SECONDS = 1.0


@dataclass(slots=True)
class _TokenUsage:
    in_progress: int = 0
    bucket: TokenBucket | None = None


@dataclass(slots=True)
class RequestAdmission:
    """Counts the requests of each token in this process.

    The counts are kept in memory and not in the database: only the control process serves the endpoint, and a restart
    ends all requests anyway. Budgets, which must survive a restart, are counted in the database by the gateway.
    """

    known: dict[str, _TokenUsage] = field(default_factory=dict)

    def admit(self, token: TokenRow | None, now: float) -> None:
        """Count a request. Raises BadRequestError if the token has reached a limit; `now` is monotonic."""
        if token is None:
            return
        usage = self.known.setdefault(token.id, _TokenUsage())
        concurrency = token.limits.get("concurrency")
        if concurrency is not None and usage.in_progress >= concurrency:
            raise _limit_reached(f"'{token.name}' may have {concurrency:g} requests in progress at once.")
        rate = token.limits.get("requests_per_minute")
        if rate is None:
            return
        usage.bucket = usage.bucket or TokenBucket(rate)
        if wait := usage.bucket.wait(now):
            raise _limit_reached(f"'{token.name}' may send {rate:g} requests per minute. Wait {wait:.1f} s.", wait)
        usage.bucket.take(1, now)

    @contextmanager
    def in_progress(self, token: TokenRow | None) -> Iterator[None]:
        """Count a request as in progress for as long as the block lasts."""
        usage = self.known.setdefault(token.id if token else "", _TokenUsage())
        usage.in_progress += 1
        try:
            yield
        finally:
            usage.in_progress -= 1


def _limit_reached(message: str, wait: float = 0.0) -> BadRequestError:
    return BadRequestError(message, 429, "rate_limit_exceeded", max(wait, _MIN_WAIT_SECONDS))

"""The limits of tokens on concurrent requests and on requests per minute."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from orchestration.providers.shared_rate import SharedRate
from orchestration.providers.shared_slots import LockFile, SharedSlots
from orchestration.storage.access import TokenRow
from orchestration.web.gateway.errors import BadRequestError

# OpenAI's clients take a `Retry-After` of 0 for none at all, and then come back after half a second.
_MIN_WAIT_SECONDS = 1.0


class _TokenUse:
    """What one token uses of its limits: this process by itself, and all of the machine together."""

    def __init__(self, slots: SharedSlots, rate: SharedRate) -> None:
        self.in_progress = 0
        self.slots = slots
        self.rate = rate


class Admission:
    """A request that was let through; it is in progress until the end of a `with` block."""

    def __init__(self, use: _TokenUse | None = None, limit: int | None = None) -> None:
        self._use = use
        self._limit = limit

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._use is not None and self._limit is not None:
            self._use.in_progress -= 1
            self._use.slots.give_back(self._limit, 0.0)
            self._use = None


class RequestAdmission:
    """Counts the requests of each token, together with the other processes that serve the endpoint on this machine.

    They are not counted in the database: a restart ends all requests anyway. Budgets, which must survive a restart, are
    counted there by the gateway.
    """

    def __init__(self, slots: LockFile, rates: Path) -> None:
        """`rates` is the folder for what has to be remembered of rates."""
        self._slots = slots
        self._rates = rates
        self._known: dict[str, _TokenUse] = {}

    def admit(self, token: TokenRow | None, now: float) -> Admission:
        """Count a request as in progress. Raises BadRequestError if the token has reached a limit; `now` is
        monotonic."""
        if token is None:
            return Admission()
        use = self._known.get(token.id)
        if use is None:
            slots = SharedSlots(self._slots, f"token {token.id}")
            use = self._known[token.id] = _TokenUse(slots, SharedRate(self._rates / token.id))
        limit = token.limits.get("concurrency")
        if limit is None:
            self._count(use, token, now)
            return Admission()
        if use.in_progress >= limit or not use.slots.take(int(limit), now):
            # Nobody waits: the client is told to come back.
            use.slots.stop_waiting()
            raise _limit_reached(f"'{token.name}' may have {limit:g} requests in progress at once.")
        use.in_progress += 1
        admission = Admission(use, int(limit))
        try:
            self._count(use, token, now)
        except BadRequestError:
            admission.__exit__(None, None, None)
            raise
        return admission

    def _count(self, use: _TokenUse, token: TokenRow, now: float) -> None:
        rate = token.limits.get("requests_per_minute")
        if rate is not None and (wait := use.rate.take(rate, now)):
            raise _limit_reached(f"'{token.name}' may send {rate:g} requests per minute. Wait {wait:.1f} s.", wait)


def _limit_reached(message: str, wait: float = 0.0) -> BadRequestError:
    return BadRequestError(message, 429, "rate_limit_exceeded", max(wait, _MIN_WAIT_SECONDS))

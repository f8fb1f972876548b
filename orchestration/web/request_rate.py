"""How many requests each client may make where nobody has to sign in. Bounded in memory."""

from __future__ import annotations

from collections import OrderedDict

# Beyond that the client that was quiet for longest is forgotten; it then begins with a full allowance.
_MOST_CLIENTS = 10_000


class RequestRate:
    """A bucket for each client, which holds `burst` requests and gains `per_second`. Times are monotonic seconds."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Count a request; returns 0 if it may be made now, else the seconds after which one may."""
        left, at = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + max(0.0, now - at) * self._per_second)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second

"""How fast a channel may be used."""

from __future__ import annotations

from orchestration.clock import Clock


class SendRate:
    """Gives out turns, `per_second` of them at most; any number for None."""

    def __init__(self, clock: Clock, per_second: float | None) -> None:
        self._clock = clock
        self._per_second = per_second
        self._next = clock.monotonic()

    def set_rate(self, per_second: float | None) -> None:
        """Go on at another rate."""
        self._per_second = per_second

    def hold(self, seconds: float) -> None:
        """Give out no turn for that long: the receiver asked for it."""
        self._next = max(self._next, self._clock.monotonic() + seconds)

    async def acquire(self) -> None:
        """Wait for a turn."""
        now = self._clock.monotonic()
        mine = max(now, self._next)
        self._next = mine + (1 / self._per_second if self._per_second else 0.0)
        if mine > now:
            await self._clock.sleep(mine - now)

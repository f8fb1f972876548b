"""The rate limit of a channel."""

from __future__ import annotations

from orchestration.clock import Clock


class SendRate:
    """Spaces messages evenly, at most `per_second`; None means no limit.

    Evenly rather than in bursts, since vendors count over windows of their own that we do not know.
    """

    def __init__(self, clock: Clock, per_second: float | None) -> None:
        self._clock = clock
        self._per_second = per_second
        # Monotonic: a wall clock that is set back would stop all messages until it has caught up.
        self._next = clock.monotonic()

    def set_rate(self, per_second: float | None) -> None:
        """Continue with another rate."""
        self._per_second = per_second

    def hold(self, seconds: float) -> None:
        """Send nothing for so many seconds, because the receiver asked for it."""
        self._next = max(self._next, self._clock.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds until the next message may be sent."""
        return max(0.0, self._next - self._clock.monotonic())

    def take(self) -> None:
        """Count a message that is sent now."""
        self._next = self._clock.monotonic() + (1 / self._per_second if self._per_second else 0.0)

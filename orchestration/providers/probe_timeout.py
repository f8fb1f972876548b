"""How long to wait for the answer to a cheap question before silence means something.

A provider that usually answers within a few milliseconds is given a second; one that is slow, or of which nothing is
known, more. After a silence the next wait is twice as long, so that one that has become slower is not taken for dead
for ever, as TCP does with its retransmissions (RFC 6298). What our own process slept through does not count.
"""

from __future__ import annotations

from collections import deque

import anyio

_LEAST_SECONDS = 1.0
_UNKNOWN_SECONDS = 3.0
_MOST_SECONDS = 5.0
# So many times what its slowest answer took lately, a provider may take.
_TIMES = 4.0
_KEPT = 20
_TICK_SECONDS = 0.05


class ProbeTimeout:
    """What one provider's answers have taught."""

    def __init__(self) -> None:
        self._answers: deque[float] = deque(maxlen=_KEPT)
        self._silences = 0
        self._hurried = True

    @property
    def seconds(self) -> float:
        """How long to wait now."""
        if not self._hurried:
            return _MOST_SECONDS
        usual = max(_LEAST_SECONDS, _TIMES * max(self._answers)) if self._answers else _UNKNOWN_SECONDS
        return float(min(_MOST_SECONDS, usual * 2**self._silences))

    def record_answer(self, seconds: float) -> None:
        """It has answered, after so long."""
        self._answers.append(seconds)
        self._silences = 0

    def use_longest(self) -> None:
        """Wait as long as can be from now on: it turned out to have been at work when it was silent."""
        self._hurried = False

    def record_silence(self) -> None:
        """It has not answered in time."""
        self._silences = min(self._silences + 1, 8)


async def sleep_while_running(seconds: float) -> None:
    """Sleep for so many seconds in which our own process gets to run: one that was held up, by a machine that is busy
    or asleep, must not take that for the silence of somebody else."""
    left = seconds
    while left > 0:
        tick = min(_TICK_SECONDS, left)
        await anyio.sleep(tick)
        left -= tick

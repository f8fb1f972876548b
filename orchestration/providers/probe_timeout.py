"""The timeout of a cheap probe: how long silence may last before it means something.

A provider that usually answers within milliseconds gets a second; one that is slow or unknown gets more. After each
timeout the next one is doubled, so that a provider that has become slower is not considered dead forever; TCP does the
same with its retransmissions (https://www.rfc-editor.org/rfc/rfc6298). Time in which our own process did not run is not
counted.
"""

from __future__ import annotations

from collections import deque

import anyio

# A garbage collection or a busy disk can delay a healthy server by several hundred milliseconds.
_LEAST_SECONDS = 1.0
_UNKNOWN_SECONDS = 3.0
# Longer would only delay the failover: whoever needs five seconds for a list of models will not answer a call, either.
_MOST_SECONDS = 5.0
# A provider may take this many times as long as the slowest of its recent answers.
_TIMES = 4.0
_KEPT = 20
# The error after a suspension is at most one tick.
_TICK_SECONDS = 0.05


class ProbeTimeout:
    """The probe timeout of one provider, adapted to its answers."""

    def __init__(self) -> None:
        self._answers: deque[float] = deque(maxlen=_KEPT)
        self._silences = 0
        self._hurried = True

    @property
    def seconds(self) -> float:
        """How long the next probe may take."""
        if not self._hurried:
            return _MOST_SECONDS
        usual = max(_LEAST_SECONDS, _TIMES * max(self._answers)) if self._answers else _UNKNOWN_SECONDS
        return float(min(_MOST_SECONDS, usual * 2**self._silences))

    def record_answer(self, seconds: float) -> None:
        """Count an answer that took so long."""
        self._answers.append(seconds)
        self._silences = 0

    def use_longest(self) -> None:
        """Use the longest timeout from now on: the provider was working on a call when it did not answer."""
        self._hurried = False

    def record_silence(self) -> None:
        """Count a probe that was not answered in time."""
        self._silences = min(self._silences + 1, 8)


async def sleep_while_running(seconds: float) -> None:
    """Sleep for so many seconds during which our own process gets to run.

    If the machine was suspended or overloaded, it is we who were silent. A plain sleep would end as soon as the machine
    resumes and blame the provider; in ticks, each suspension costs one tick.
    """
    left = seconds
    while left > 0:
        tick = min(_TICK_SECONDS, left)
        await anyio.sleep(tick)
        left -= tick

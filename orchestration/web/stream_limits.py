"""How many event streams may be open at once: each is a connection that stays, and is written to with every event."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

# A browser keeps at most six connections to a host; programs of a team may have one each.
_MOST_OF_ONE = 100
_MOST = 1_000


class StreamLimits:
    """Counts the open streams of each principal."""

    def __init__(self, most: int = _MOST, of_one: int = _MOST_OF_ONE) -> None:
        self._most = most
        self._of_one = of_one
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def opened(self, principal: str) -> Iterator[bool]:
        """Count a stream for as long as the block lasts; yields False, and counts nothing, if there are too many."""
        if self._open.total() >= self._most or self._open[principal] >= self._of_one:
            yield False
            return
        self._open[principal] += 1
        try:
            yield True
        finally:
            self._open[principal] -= 1
            self._open += Counter()  # forgets those without a stream

"""Isolation of errors: a failure in one rule or one alert is counted and logged once, and stops nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from orchestration import logs

# Places have names of rules and groups in them, which senders can invent.
_MAX_PLACES = 1000


class ErrorIsolation:
    """Failures by place (`rule cpu-high`, `saving alerts`). A place is logged when it starts to fail and when it works
    again, not in between: evaluations come several times a second, and would fill the log."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._log = logs.get_logger("alerts")

    @property
    def failing(self) -> frozenset[str]:
        """The places that failed at their last attempt."""
        return frozenset(self._failing)

    @contextmanager
    def isolate(self, place: str) -> Iterator[None]:
        """Run a block; an exception that it raises is counted and suppressed."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 — one poisonous rule or alert must not stop the response to others
            self._failed(place, error)
        else:
            if place in self._failing:
                self._failing.discard(place)
                self._log.info("alerts.works_again", place=place)

    def _failed(self, place: str, error: Exception) -> None:
        if place in self.counts or len(self.counts) < _MAX_PLACES:
            self.counts[place] += 1
        if place not in self._failing and len(self._failing) < _MAX_PLACES:
            self._failing.add(place)
            self._log.error("alerts.contained", place=place, error=f"{type(error).__name__}: {error}")

"""The faults in force: for a time, for a number of requests, or until they are cleared."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from orchestration.clock import Clock
from orchestration.rehearsal.faults import Injection, find_fault


class FaultMatch(BaseModel):
    """The requests to which a fault applies; a field that is None matches all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str | None = None
    path: str | None = None

    def matches(self, path: str, role: str | None) -> bool:
        return self.path in (None, path) and self.role in (None, role)


class FaultOrder(BaseModel):
    """`POST /rehearsal/faults`. With neither `count` nor `seconds` the fault stays until it is cleared. With `every` it
    hits only one of so many matching requests, as a bad line does."""

    # A misspelt `count` or `match` has to be refused: ignored, it would leave a fault
    # that hits every request until somebody clears it.
    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: str
    number: float | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    every: Annotated[int, Field(ge=1)] = 1
    match: FaultMatch | None = None


@dataclass(slots=True)
class _ActiveFault:
    order: FaultOrder
    injection: Injection
    left: int | None
    until: float | None
    met: int = 0

    def spares(self) -> bool:
        """Count a request that it matches; whether this one gets through."""
        self.met += 1
        return self.met % self.order.every != 0


class FaultRegistry:
    """Holds the faults that were ordered and gives each request the oldest one that matches it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The class has a method `list`, which hides the built-in one in annotations.
        self._active: builtins.list[_ActiveFault] = []

    def add(self, order: FaultOrder) -> None:
        """Put a fault in force. Raises UsageError for an unknown fault."""
        injection = find_fault(order.fault, order.number)
        # Monotonic, so that a step of the wall clock neither shortens nor prolongs a fault.
        until = None if order.seconds is None else self._clock.monotonic() + order.seconds
        self._active.append(_ActiveFault(order, injection, order.count, until))

    def clear(self) -> None:
        """End all faults."""
        self._active.clear()

    def next_for(self, path: str, role: str | None) -> Injection | None:
        """The fault for a request to `path` by an agent of `role`, if there is one; it is counted as used."""
        fault = next(
            (fault for fault in self._current() if (fault.order.match or FaultMatch()).matches(path, role)), None
        )
        if fault is None or fault.spares():
            return None
        if fault.left is not None:
            fault.left -= 1
        return fault.injection

    def list(self) -> builtins.list[dict[str, Any]]:
        """The orders in force, with the number of requests that each has left."""
        return [{**fault.order.model_dump(mode="json"), "left": fault.left} for fault in self._current()]

    def _current(self) -> builtins.list[_ActiveFault]:
        now = self._clock.monotonic()
        self._active = [
            fault for fault in self._active if fault.left != 0 and (fault.until is None or now < fault.until)
        ]
        return self._active

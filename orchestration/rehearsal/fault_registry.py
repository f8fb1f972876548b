"""Which faults are in force: for a time, for a number of requests, or until they are taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from orchestration.clock import Clock
from orchestration.rehearsal.faults import Injection, find_fault


class FaultMatch(BaseModel):
    """Which requests a fault is for; what is None does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str | None = None
    path: str | None = None

    def fits(self, path: str, role: str | None) -> bool:
        return self.path in (None, path) and self.role in (None, role)


class FaultOrder(BaseModel):
    """`POST /rehearsal/faults`. With neither `count` nor `seconds` the fault stays until it is taken back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: str
    number: float | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    match: FaultMatch | None = None


@dataclass(slots=True)
class _InForce:
    order: FaultOrder
    injection: Injection
    left: int | None
    until: float | None


class FaultRegistry:
    """Takes orders for faults and hands them out, the oldest that fits first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: list[_InForce] = []

    def post(self, order: FaultOrder) -> None:
        """Put a fault in force. Raises UsageError when there is no such fault."""
        injection = find_fault(order.fault, order.number)
        until = None if order.seconds is None else self._clock.monotonic() + order.seconds
        self._rules.append(_InForce(order, injection, order.count, until))

    def clear(self) -> None:
        """Take all of them back."""
        self._rules.clear()

    def take(self, path: str, role: str | None) -> Injection | None:
        """The fault for a request to `path` by an agent of `role`, if one is due; counted as used."""
        rule = next((rule for rule in self._current() if (rule.order.match or FaultMatch()).fits(path, role)), None)
        if rule is None:
            return None
        if rule.left is not None:
            rule.left -= 1
        return rule.injection

    def in_force(self) -> list[dict[str, Any]]:
        """The orders that still hold, with the number of requests that each has left."""
        return [{**rule.order.model_dump(mode="json"), "left": rule.left} for rule in self._current()]

    def _current(self) -> list[_InForce]:
        now = self._clock.monotonic()
        self._rules = [rule for rule in self._rules if rule.left != 0 and (rule.until is None or now < rule.until)]
        return self._rules

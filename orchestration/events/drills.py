"""Events of drills and game days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class DrillRequested(EventPayload):
    """A set of drills was begun."""

    kind: ClassVar[str] = "drill.requested"

    session: str
    drills: tuple[str, ...]

    def sentence(self) -> str:
        return f"drills requested: {', '.join(self.drills)}"


@dataclass(frozen=True, slots=True)
class DrillStarted(EventPayload):
    """A drill of the set began."""

    kind: ClassVar[str] = "drill.started"
    template: ClassVar[str] = "drill {drill} started"

    session: str
    drill: str


@dataclass(frozen=True, slots=True)
class DrillFinished(EventPayload):
    """A drill ended; `misses` says what went otherwise than expected."""

    kind: ClassVar[str] = "drill.finished"

    session: str
    drill: str
    passed: bool
    misses: tuple[str, ...]

    def sentence(self) -> str:
        return f"drill {self.drill} {'passed' if self.passed else 'failed'}" + "".join(
            f"; {miss}" for miss in self.misses
        )


@dataclass(frozen=True, slots=True)
class DrillStopped(EventPayload):
    """A person stopped a set of drills."""

    kind: ClassVar[str] = "drill.stopped"
    template: ClassVar[str] = "drills stopped"

    session: str


@dataclass(frozen=True, slots=True)
class DrillConcluded(EventPayload):
    """A set of drills ended; `message` is empty unless its process failed."""

    # A set of drills runs in a process of its own, which may die before it has reported anything.
    kind: ClassVar[str] = "drill.concluded"

    session: str
    # 1 says only that a drill missed an expectation, which its own event reports in full.
    exit_code: int
    message: str

    def sentence(self) -> str:
        return "drills concluded" + (f": {self.message}" if self.message else "")


@dataclass(frozen=True, slots=True)
class GameDayFinished(EventPayload):
    """A scheduled game day ended."""

    kind: ClassVar[str] = "game_day.finished"
    template: ClassVar[str] = "game day {name}: {passed} of {held} drills passed"

    name: str
    # Not `at`, which is the time of the event itself: the game day may have been due earlier.
    at_time: str
    held: int
    passed: int

"""Watches a control process that has nothing to do, beside a neighbour that keeps the processor busy: nobody may be
paged for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from orchestration.clock import Clock
from orchestration.drills.calibration import Calibration
from orchestration.drills.environment import DrillEnvironment, drill_environment
from orchestration.drills.folders import project_folder
from orchestration.drills.observer import DrillObserver
from orchestration.drills.project import OFF
from orchestration.drills.setup import DrillSetting
from orchestration.incidents import escalation
from orchestration.incidents.model import Incident
from orchestration.incidents.records import IncidentRecords

# Every rule as the product has it: the drills switch off those about the machine.
_EVERY_RULE = {"alerting": {"rules": {name: {"enabled": True} for name in OFF}}}


@dataclass(frozen=True, slots=True)
class IdleIncident:
    """An incident that was opened meanwhile, and whom it paged: the first level at once, or levels called later."""

    severity: str
    scenario: str
    title: str
    after: float
    pages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdleWatch:
    """What came of it. `slowness` is how many times slower than alone a program ran."""

    seconds: float
    neighbours: int
    incidents: tuple[IdleIncident, ...]
    slowness: float

    @property
    def paged(self) -> int:
        """How many incidents paged somebody."""
        return sum(bool(one.pages) for one in self.incidents)

    @property
    def by_severity(self) -> dict[str, int]:
        """How many incidents there were of each severity."""
        return dict(Counter(one.severity for one in self.incidents))


async def watch_idle(seconds: float, neighbours: int, clock: Clock) -> IdleWatch:
    """Serve a project in which nothing runs, start that many programs that burn a processor, and report what was
    opened. Raises DrillError."""
    calibration = Calibration(clock)
    with project_folder("idle", None) as folder:
        async with drill_environment(folder, DrillSetting(configuration=_EVERY_RULE), clock) as environment:
            await environment.serve()
            since = clock.now()
            for _ in range(neighbours):
                await environment.start_neighbour("burn", str(seconds))
            async with calibration.measuring():
                await clock.sleep(seconds)
            seen = await environment.database.call(lambda: DrillObserver(environment).incidents())
            found = [_seen(environment, one, (one.detected_at - since).total_seconds()) for one in seen]
    return IdleWatch(seconds, neighbours, tuple(found), calibration.slowness)


def _seen(environment: DrillEnvironment, one: Incident, after: float) -> IdleIncident:
    entries = IncidentRecords(environment.database).entries(one.id)

    def paged() -> Iterator[str]:
        if escalation.pages(one):
            yield "level 1"
        yield from (f"level {entry.data['level']}" for entry in entries if entry.kind == "escalated")

    title, severity = one.title, one.severity.value
    return IdleIncident(severity, one.scenario.value, title, round(after, 1), tuple(dict.fromkeys(paged())))

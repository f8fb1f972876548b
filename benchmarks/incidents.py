"""`python -m benchmarks.incidents [COUNT…]`: how long list, show and statistics take with so many incidents recorded.

Each figure is the 95th percentile of calls to the packages that the console and the web call, on SQLite, in
milliseconds; beside it their processor time, which other work on the machine does not change. The first call does not
count.
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.arguments import arguments
from benchmarks.incident_records import BEGIN, SAMPLES, SPAN, a_desk, a_report, make_samples, multiply, pass_time
from orchestration.clock import FakeClock
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import person
from orchestration.incidents.service import IncidentService
from orchestration.incidents.statistics import Statistics
from orchestration.storage.database import Database
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.incidents.figures import IncidentFigures
from orchestration.web.pages.incidents import open_board

COUNTS = (1_000, 100_000, 1_000_000)
CALLS, MOST_MILLISECONDS = 40, 8_000.0
RECENT = CALLS + 10
ADA = person("ada")


class Times(NamedTuple):
    """In milliseconds: the 95th percentile of what calls take, and the median of their processor time."""

    p95: float
    processor: float

    def __str__(self) -> str:
        return f"{self.p95:.1f} | {self.processor:.1f}"


def timed(call: Callable[[], object]) -> Times:
    """Call it again and again. The first call does not count."""
    call()
    took: list[float] = []
    worked: list[float] = []
    while len(took) < CALLS and (len(took) < 3 or sum(took) < MOST_MILLISECONDS):
        begun, work = time.perf_counter(), time.process_time()
        call()
        took.append((time.perf_counter() - begun) * 1000)
        worked.append((time.process_time() - work) * 1000)
    return Times(sorted(took)[math.ceil(0.95 * len(took)) - 1], statistics.median(worked))


def calls(database: Database, service: IncidentService, clock: FakeClock) -> dict[str, Callable[[], object]]:
    """What is measured."""
    table, now = service.records.table, BEGIN + SPAN
    figures = Statistics(IncidentFigures(database))
    known = first_of(database)
    number, waiting = itertools.count(), declare_some(service, clock)

    def stats(by: str = "severity", days: int | None = None, **only: Any) -> Callable[[], object]:
        since = None if days is None else now - timedelta(days=days)
        return lambda: figures.report(IncidentSelection(since=since, **only), by, now)

    def declare() -> object:
        return service.open_or_join(a_report(SAMPLES + RECENT + next(number), clock.now()))

    def after_a_change() -> object:
        service.execute(waiting.pop(), ADA, Resolve("mended", anyway=True))
        return stats(days=30)()

    def board() -> object:
        owing = table.list(statuses=("resolved", "in-review"), limit=100)
        past = table.list(is_open=False, limit=100)
        return open_board(service.records, now), [service.records.get(row.id) for row in owing], past

    def page() -> object:
        recent = IncidentSelection(since=now - timedelta(days=30))
        return figures.reports(recent, ("severity", "scenario"), now), stats("month", 366)()

    p0: tuple[Severity, ...] = (Severity.P0,)
    rare: dict[str, Any] = {"severities": (Severity.P1,), "scenario": Scenario.SECURITY_ALERT}
    return {
        "list": lambda: table.list(limit=20),
        "list --open": lambda: table.list(is_open=True, limit=20),
        "list --status resolved": lambda: table.list(statuses=("resolved",), limit=20),
        "list --status cancelled (none)": lambda: table.list(statuses=("cancelled",), limit=20),
        "list --status, two": lambda: table.list(statuses=("resolved", "in-review"), limit=20),
        "list --severity P0": lambda: table.list(severities=p0, limit=20),
        "list --severity --scenario": lambda: table.list(**rare, limit=20),
        "list --severity --scenario --open": lambda: table.list(**rare, is_open=True, limit=20),
        "list --status cancelled --severity P0 (none)": lambda: table.list(
            statuses=("cancelled",), severities=p0, limit=20
        ),
        "list --severity --scenario, not open": lambda: table.list(**rare, is_open=False, limit=20),
        "list --since 7d --severity P0": lambda: table.list(severities=p0, since=now - timedelta(days=7), limit=20),
        "list, the 50,000th page": lambda: table.list(before=known, limit=20),
        "show": lambda: (service.records.find(known), service.records.entries(known)),
        "show, by the end of its name": lambda: table.find_id(known[-6:]),
        "action items to be done": service.records.with_open_actions,
        "one round of timers": lambda: service.fire_due_timers(clock.now()),
        "declare an incident": declare,
        "stats --since 7d": stats(days=7),
        "stats --since 30d": stats(days=30),
        "stats --since 90d": stats(days=90),
        "stats --since 365d": stats(days=365),
        "stats --since all": stats(),
        "stats --since all --by month": stats("month"),
        "stats --since all --severity P1 --scenario security-alert": stats(**rare),
        "stats --since 30d after a change": after_a_change,
        "page: incidents (100 open, 100 owing, 100 past)": board,
        "page: figures": page,
    }


def measure(count: int) -> dict[str, Times]:
    """Each of the calls, with so many incidents."""
    with tempfile.TemporaryDirectory() as folder, a_desk(Path(folder)) as (database, service, clock):
        make_samples(service, clock)
        if count > SAMPLES:
            begun = time.perf_counter()
            multiply(database, count)
            print(f"{count:,} incidents made in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        begun, work = time.perf_counter(), time.process_time()
        Statistics(IncidentFigures(database)).build_rollups(BEGIN + SPAN)
        first = Times((time.perf_counter() - begun) * 1000, (time.process_time() - work) * 1000)
        found = {name: timed(call) for name, call in calls(database, service, clock).items()}
        return {**found, "summing up all for the first time": first}


def declare_some(service: IncidentService, clock: FakeClock) -> list[str]:
    """Incidents of the desk's own, one every four hours of the last days up to the end of the year."""
    spacing, found = 4 * 3600.0, []
    pass_time(clock, (BEGIN + SPAN - clock.now()).total_seconds() - spacing * RECENT)
    for number in range(RECENT):
        found.append(service.open_or_join(a_report(SAMPLES + number, clock.now())).id)
        pass_time(clock, spacing)
    while service.fire_due_timers(clock.now()):
        pass
    return found


def first_of(database: Database) -> str:
    """The oldest incident, one that the desk itself has written."""
    with database.read() as connection:
        return str(connection.exec_driver_sql("SELECT min(id) FROM incidents").scalar_one())


def main(counts: Sequence[int]) -> None:
    found = {f"{count:,}": measure(count) for count in counts}
    print("\n## Incidents: p95 and processor time (median) in ms\n")
    print(f"| | {' | | '.join(found)} | |")
    print(f"| --- |{' ---: | ---: |' * len(found)}")
    for name in next(iter(found.values())):
        print(f"| {name} | {' | '.join(str(each[name]) for each in found.values())} |")


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("count", nargs="*", type=int, default=COUNTS, help="how many incidents")
    main(parser.parse_args().count)

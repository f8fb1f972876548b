"""`python -m benchmarks.incidents [COUNT…]`: how long list, show and statistics take with so many incidents recorded.

The records are made by the desk's own code from a few real incidents, and then copied in the database with other names
and times, for a million would take the desk hours. Each figure is the 95th percentile of calls to the rooms that the
console and the web call, on SQLite, with a cold start of each in front that does not count.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import sqlalchemy as sa

from orchestration.clock import FakeClock
from orchestration.config.response import Contact, ResponseSettings, Scenario
from orchestration.events import Bus
from orchestration.incidents.desk import Desk, Ports
from orchestration.incidents.model import person
from orchestration.incidents.report import Blast, Facts, Report
from orchestration.incidents.statistics import Selection, Statistics
from orchestration.notifications.planning import plan
from orchestration.storage.database import Database
from orchestration.storage.incident_figures import IncidentFigures

COUNTS = (1_000, 100_000, 1_000_000)
SAMPLES = 100
CALLS, MOST_MILLISECONDS = 40, 8_000.0
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=365)
_SETTINGS = ResponseSettings(contacts=(Contact(id="ada", level=1),))
# The tables that hold an incident, with the most copies made of each: of the last two, only the rows of one incident
# are ever read, found by its name, and a million documents would fill the disk.
_TABLES = {"incidents": None, "incident_clocks": None, "incident_documents": 1000, "incident_entries": 1000}


@contextmanager
def a_desk(folder: Path) -> Iterator[tuple[Database, Desk, FakeClock]]:
    database = Database(f"sqlite:///{folder}/orchestrator.db")
    database.migrate()
    clock = FakeClock(BEGIN)
    ports = Ports(settings=lambda: _SETTINGS, plan=plan, redact=lambda data: data)
    try:
        yield database, Desk(database, Bus(clock), clock, ports), clock
    finally:
        database.close()


def make_samples(desk: Desk, clock: FakeClock) -> None:
    """Incidents of all scenarios and severities, acknowledged and resolved after various times."""
    scenarios = list(Scenario)
    facts = (
        Facts(agents_failing=1, agents_total=4),
        Facts(agents_failing=4, agents_total=4),
        Facts(has_workaround=True),
    )
    for number in range(SAMPLES):
        at = clock.now()
        report = Report(
            key=f"key-{number}",
            scenario=scenarios[number % len(scenarios)],
            title=f"Trouble {number}",
            summary="it does not work",
            facts=facts[number % len(facts)],
            at=at,
            started_at=at - timedelta(seconds=30),
            fingerprints=(f"f-{number}",),
            blast=Blast(agents=("executor",), runs=("run-1",)),
        )
        incident = desk.report(report)
        pass_time(clock, 60 + number)
        desk.acknowledge(incident.id, person("ada"))
        pass_time(clock, 600 + 7 * number)
        desk.resolve(incident.id, person("ada"), "mended")


def pass_time(clock: FakeClock, seconds: float) -> None:
    anyio.run(clock.advance, seconds)


def multiply(database: Database, count: int) -> None:
    """Copy the samples until there are so many, each copy later than the one before, spread over a year."""
    copies = count // SAMPLES
    step = SPAN.total_seconds() / max(1, copies)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=OFF")
        connection.exec_driver_sql("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY)")
        connection.execute(sa.text(_SERIES), {"last": copies - 1})
        for table, most in _TABLES.items():
            only = "" if most is None else f" WHERE n.n < {most}"
            connection.exec_driver_sql(_copy(connection, table, step) + only)
            connection.commit()
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


_SERIES = """
INSERT INTO numbers WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :last) SELECT n FROM s
"""


def _copy(connection: sa.Connection, table: str, step: float) -> str:
    """The statement that copies all rows of a table once for each number; rows are numbered by the database."""
    columns = [column for column in sa.inspect(connection).get_columns(table) if column["name"] != "sequence"]
    names = ", ".join(f'"{column["name"]}"' for column in columns)
    values = ", ".join(
        _value(column["name"], step, moment=isinstance(column["type"], sa.DateTime)) for column in columns
    )
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} t, numbers n"


def _value(name: str, step: float, *, moment: bool) -> str:
    quoted, later = f't."{name}"', f"'+' || (n.n * {step}) || ' seconds'"
    if name in ("id", "incident_id", "key"):
        return f"{quoted} || '-' || n.n"
    if name == "reversed_id":
        return f"n.n || '-' || {quoted}"
    if name == "month":
        return f"strftime('%Y-%m', {quoted} || '-15', {later})"
    return f"strftime('%Y-%m-%d %H:%M:%f000', {quoted}, {later})" if moment else quoted


def percentile(call: Callable[[], object]) -> float:
    """The 95th percentile of what a call takes, in milliseconds."""
    call()
    took = []
    while len(took) < CALLS and (len(took) < 3 or sum(took) < MOST_MILLISECONDS):
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1000)
    return sorted(took)[math.ceil(0.95 * len(took)) - 1]


def measure(count: int) -> tuple[float, ...]:
    """List, show and the two statistics, with so many incidents."""
    with tempfile.TemporaryDirectory() as folder, a_desk(Path(folder)) as (database, desk, clock):
        make_samples(desk, clock)
        if count > SAMPLES:
            multiply(database, count)
        now = BEGIN + SPAN
        statistics = Statistics(IncidentFigures(database))
        known = first_of(database)
        return (
            percentile(lambda: desk.records.table.list(limit=20)),
            percentile(lambda: desk.records.table.list(is_open=True, limit=20)),
            percentile(lambda: (desk.records.find(known), desk.records.entries(known))),
            percentile(lambda: statistics.report(Selection(since=now - timedelta(days=7)), "severity", now)),
            percentile(lambda: statistics.report(Selection(since=now - timedelta(days=30)), "severity", now)),
            percentile(lambda: statistics.report(Selection(), "severity", now)),
        )


def first_of(database: Database) -> str:
    """The oldest incident, one that the desk itself has written."""
    with database.read() as connection:
        return str(connection.exec_driver_sql("SELECT min(id) FROM incidents").scalar_one())


def main(counts: Sequence[int]) -> None:
    print("\n## Incidents: p95 in ms\n")
    print("| incidents | list | list --open | show | stats, 7 days | stats, 30 days | stats, all |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in counts:
        figures = " | ".join(f"{value:.1f}" for value in measure(count))
        print(f"| {count:,} | {figures} |", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or COUNTS)

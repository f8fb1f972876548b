"""A database with very many incidents, to measure with.

The first hundred are made by the desk's own code, and then copied in the database with other names, times and
durations, for a million would take the desk hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import sqlalchemy as sa

from orchestration.clock import FakeClock
from orchestration.config.response import Contact, ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.events import EventBus
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import person
from orchestration.incidents.report import BlastRadius, Facts, TroubleReport
from orchestration.incidents.service import IncidentService, Ports
from orchestration.notifications.recipients import plan
from orchestration.storage.database import Database

SAMPLES, LEFT_OPEN = 100, 1
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=365)
_SETTINGS = ResponseSettings(contacts=(Contact(id="ada", level=1),))
_FACTS = (
    Facts(agents_failing=1, agents_total=4),
    Facts(agents_failing=2, agents_total=4),
    Facts(agents_failing=4, agents_total=4),
    Facts(has_workaround=True),
)
# The tables that hold an incident, with how many of the newest copies are made: of the last two, only the rows of
# one incident are ever read, found by its name, and a million documents would fill the disk.
_TABLES = {
    "incidents": None,
    "incident_clocks": None,
    "incident_documents": 500,
    "incident_entries": 500,
}
_BEGINS = {"incidents": "detected_at", "incident_clocks": "started_at"}


@contextmanager
def a_desk(folder: Path, begin: datetime = BEGIN) -> Iterator[tuple[Database, IncidentService, FakeClock]]:
    database = Database(f"sqlite:///{folder}/orchestrator.db")
    database.migrate()
    clock = FakeClock(begin)
    ports = Ports(settings=lambda: _SETTINGS, plan=plan, redact=lambda data: data)
    try:
        yield database, IncidentService(database, EventBus(clock), clock, ports), clock
    finally:
        database.close()


def a_report(number: int, at: datetime) -> TroubleReport:
    """One of a kind, of the scenario and with the facts that are the turn of its number."""
    scenarios = list(Scenario)
    return TroubleReport(
        key=f"key-{number}",
        scenario=scenarios[number % len(scenarios)],
        title=f"Trouble {number}",
        summary="it does not work",
        facts=_FACTS[number // len(scenarios) % len(_FACTS)],
        at=at,
        started_at=at - timedelta(seconds=30),
        fingerprints=(f"f-{number}",),
        blast_radius=BlastRadius(agents=("executor",), runs=("run-1",)),
    )


def make_samples(service: IncidentService, clock: FakeClock) -> None:
    """Incidents of all scenarios and severities, acknowledged and resolved after various times."""
    for number in range(SAMPLES):
        incident = service.open_or_join(a_report(number, clock.now()))
        pass_time(clock, 60 + number)
        service.execute(incident.id, person("ada"), Acknowledge())
        pass_time(clock, 600 + 7 * number)
        if number >= SAMPLES - LEFT_OPEN:
            continue
        service.execute(incident.id, person("ada"), Resolve("mended", anyway=True))


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
        indexes = _drop_indexes(connection)
        for table, newest in _TABLES.items():
            only = "" if newest is None else f" WHERE n.n >= {copies - newest}"
            connection.exec_driver_sql(_copy(connection, table, step) + only)
            connection.commit()
        for statement in (*indexes, *_MARKS):
            connection.exec_driver_sql(statement)
            connection.commit()
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _drop_indexes(connection: sa.Connection) -> list[str]:
    """Those of the tables that are copied; returns how to make them again, which takes less than keeping them up."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?"
    found = [row for table in _TABLES for row in connection.exec_driver_sql(query, (table,)).all()]
    for name, _ in found:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    return [statement for _, statement in found]


_SERIES = """
INSERT INTO numbers WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :last) SELECT n FROM s
"""
_MARKS = tuple(
    f"INSERT INTO incident_tally_marks SELECT DISTINCT 'day', substr({moment}, 1, 10), '{table}' FROM {table}"
    for table, moment in _BEGINS.items()
)


def _copy(connection: sa.Connection, table: str, step: float) -> str:
    """The statement that copies all rows of a table once for each number; rows are numbered by the database."""
    columns = [column for column in sa.inspect(connection).get_columns(table) if column["name"] != "sequence"]
    names = ", ".join(f'"{column["name"]}"' for column in columns)
    values = ", ".join(
        _value(table, column["name"], step, moment=isinstance(column["type"], sa.DateTime)) for column in columns
    )
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} t, numbers n"


def _value(table: str, name: str, step: float, *, moment: bool) -> str:
    quoted, later = f't."{name}"', f"'+' || (n.n * {step}) || ' seconds'"
    if name in ("id", "incident_id", "key"):
        return f"{quoted} || '-' || n.n"
    if name == "reversed_id":
        return f"n.n || '-' || {quoted}"  # not what the desk would write, but as good to look for
    if name == "month":
        return f"substr(datetime(t.{_BEGINS[table]}, {later}), 1, 7)"
    if name.startswith("seconds_"):  # a thousand different times, from a tenth to ten times as long
        return f"{quoted} * (0.1 + (abs(random()) % 1000) * (abs(random()) % 1000) / 1e5)"
    return f"datetime({quoted}, {later}) || '.000000'" if moment else quoted

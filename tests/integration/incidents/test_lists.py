"""Lists give what fits, newest first, and each query behind them follows one index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.statistics import Statistics
from orchestration.storage.database import Database
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.incidents.figures import IncidentFigures
from orchestration.storage.incidents.table import IncidentTable
from orchestration.storage.tables import incidents
from tests.integration.incidents.conftest import Room
from tests.support.database import migrated
from tests.support.incidents import ADA, NOON, a_report, after

STATUSES = ("detected", "resolved", "closed", "cancelled")
SEVERITIES = (Severity.P0, Severity.P1, Severity.P3)
SCENARIOS = (Scenario.AGENT_FAILURE, Scenario.SECURITY_ALERT)
SINCE = after(minutes=20)


def fill(database: Database) -> list[dict[str, Any]]:
    """Two incidents of each status, severity and scenario; some of them began at the same moment."""
    rows = [
        {
            "id": f"inc-{number:02}",
            "reversed_id": f"{number:02}-cni",
            "key": f"key-{number}",
            "scenario": scenario.value,
            "severity": severity.value,
            "status": status,
            "is_open": status == "detected",
            "drill": False,
            "title": "trouble",
            "acknowledged_by": "",
            "open_actions": 0,
            "detected_at": after(minutes=number * 7 % 50 // 2),
            "counted": True,
            "month": "2026-03",
            "recurred": False,
            "version": 1,
        }
        for number, (status, severity, scenario, _) in enumerate(product(STATUSES, SEVERITIES, SCENARIOS, range(2)))
    ]
    with database.write() as connection:
        connection.execute(sa.insert(incidents), rows)
    return rows


@pytest.fixture
def filled(database_url: str) -> Iterator[tuple[IncidentTable, list[dict[str, Any]]]]:
    database = migrated(database_url)
    yield IncidentTable(database), fill(database)
    database.close()


def by_hand(rows: Sequence[dict[str, Any]], fits: Callable[[dict[str, Any]], bool], limit: int) -> list[str]:
    ranked = sorted(filter(fits, rows), key=lambda row: (row["detected_at"], row["id"]), reverse=True)
    return [row["id"] for row in ranked][:limit]


def test_a_list_has_the_newest_of_all_that_fit(filled: tuple[IncidentTable, list[dict[str, Any]]]) -> None:
    table, rows = filled
    for statuses, severities, scenario, is_open, since in product(
        ((), ("resolved",), ("detected", "closed"), ("merged",)),
        ((), (Severity.P1,), (Severity.P0, Severity.P3)),
        (None, Scenario.SECURITY_ALERT),
        (None, True, False),
        (None, SINCE),
    ):

        def fits(
            row: dict[str, Any],
            statuses: Sequence[str] = statuses,
            severities: Sequence[Severity] = severities,
            scenario: Scenario | None = scenario,
            is_open: bool | None = is_open,
            since: datetime | None = since,
        ) -> bool:
            return (
                (not statuses or row["status"] in statuses)
                and (not severities or row["severity"] in severities)
                and scenario in (None, row["scenario"])
                and is_open in (None, row["is_open"])
                and (since is None or row["detected_at"] >= since)
            )

        chosen: dict[str, Any] = {"statuses": statuses, "severities": severities, "scenario": scenario}
        found = table.list(**chosen, is_open=is_open, since=since, limit=5)
        assert [row.id for row in found] == by_hand(rows, fits, 5), (chosen, is_open, since)


def test_pages_follow_each_other_without_a_gap(filled: tuple[IncidentTable, list[dict[str, Any]]]) -> None:
    table, rows = filled
    seen: list[str] = []
    for _ in rows:
        page = table.list(severities=SEVERITIES[:2], before=seen[-1] if seen else None, limit=3)
        seen += [row.id for row in page]
    assert seen == by_hand(rows, lambda row: row["severity"] in ("P0", "P1"), 100)


@contextmanager
def plans(database: Database) -> Iterator[list[str]]:
    """How SQLite goes about each query that is made meanwhile, a line for each step."""
    found: list[str] = []

    def explain(connection: sa.Connection, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            raw = connection.connection.cursor()
            found.extend(f"{row[3]} <- {statement}" for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            raw.close()

    sa.event.listen(database.engine, "before_cursor_execute", explain)
    yield found
    sa.event.remove(database.engine, "before_cursor_execute", explain)


def goes_through_all(step: str) -> bool:
    """Reading all rows, or sorting all that were found; a list without a filter may follow an index from its end."""
    by_index = "USING INDEX ix_incidents_detected_at" in step or "USING INDEX ix_incidents_open_actions" in step
    whole_table = re.match(r"SCAN incident\w* ?(USING|<-)?", step) is not None and not by_index
    return whole_table or step.startswith("USE TEMP B-TREE FOR ORDER BY")


def test_no_list_goes_through_all_incidents(room: Room) -> None:
    fill(room.database)
    table = room.service.records.table
    kinds = {"severities": SEVERITIES[:2], "scenario": Scenario.SECURITY_ALERT}
    with plans(room.database) as steps:
        table.list()
        table.list(statuses=STATUSES[:2])
        table.list(statuses=STATUSES[1:], **kinds)  # type: ignore[arg-type]
        table.list(**kinds, is_open=False, since=SINCE)  # type: ignore[arg-type]
        table.list(**kinds, is_open=True)  # type: ignore[arg-type]
        table.list(before="inc-03", limit=2)
        table.find_id("inc-03")
        table.find_id("30-cni"[::-1])
        table.list_with_open_actions()
    assert len(steps) > 10
    assert [step for step in steps if goes_through_all(step)] == []


def test_the_desks_loop_goes_through_nothing_that_is_done(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.service.execute(incident.id, ADA, Acknowledge())
    with plans(room.database) as steps:
        room.tick(after(days=2))
        room.service.open_or_join(a_report(at=after(days=2)))
    assert any("ix_incident_entries_unannounced" in step for step in steps)
    assert [step for step in steps if goes_through_all(step) and 'WHERE incidents."key"' not in step] == []


def test_figures_go_through_no_more_than_the_days_that_are_not_over(room: Room) -> None:
    fill(room.database)
    now = NOON + timedelta(days=1)
    with plans(room.database) as steps:
        Statistics(IncidentFigures(room.database, exact_up_to=0)).report(IncidentSelection(), "severity", now)
        Statistics(IncidentFigures(room.database)).report(IncidentSelection(after(days=-1)), "severity", now)
    assert any("ix_incident_clocks_running" in step for step in steps)
    assert any("ix_incidents_measures (counted=? AND severity=? AND scenario=? AND detected_at>?" in s for s in steps)
    assert [step for step in steps if goes_through_all(step)] == []

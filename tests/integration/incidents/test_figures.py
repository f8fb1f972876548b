"""The database's figures are those of the definitions, worked out by hand; drills and false alarms never count."""

from __future__ import annotations

import math
import statistics as by_hand
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.statistics import IncidentGroup, Measure, Statistics
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.incidents.figures import IncidentFigures
from tests.integration.incidents.conftest import Room
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, NOON, ONE_AGENT, a_report, after

ALL = IncidentSelection()


@pytest.fixture
def statistics(room: Room) -> Statistics:
    return Statistics(IncidentFigures(room.database))


def handled(
    room: Room,
    number: int,
    *,
    start: datetime = NOON,
    ack: float | None = None,
    resolve: float | None = None,
    **values: object,
) -> str:
    """An incident that was acknowledged and resolved so many minutes after its detection."""
    room.go_to(start)
    incident = room.service.open_or_join(a_report(key=f"key-{number}", at=start, **values))  # type: ignore[arg-type]
    if ack is not None:
        room.go_to(start + timedelta(minutes=ack))
        room.service.execute(incident.id, ADA, Acknowledge())
    if resolve is not None:
        room.go_to(start + timedelta(minutes=resolve))
        room.resolve(incident.id)
    return incident.id


def figure(group: IncidentGroup, measure: Measure):  # type: ignore[no-untyped-def]
    return next(each for each in group.figures if each.measure is measure)


def test_an_empty_database_has_no_figures_rather_than_zeroes(statistics: Statistics) -> None:
    report = statistics.report(ALL, "severity", NOON)
    assert (report.total.count, report.groups, report.total.recurrence.rate) == (0, (), None)
    assert {(each.n, each.mean, each.median, each.p90) for each in report.total.figures} == {(0, None, None, None)}


def test_each_measure_by_its_definition(room: Room, statistics: Statistics) -> None:
    for number, minutes in enumerate((10, 20, 60, 30)):
        handled(room, number, ack=minutes / 10, resolve=minutes, started_at=after(minutes=-minutes))
    total = statistics.report(ALL, "severity", after(days=1)).total
    resolve = figure(total, Measure.MTTR)
    assert (resolve.n, resolve.mean, resolve.median, resolve.p90) == (4, 1800.0, 1500.0, 3600.0)
    assert figure(total, Measure.MTTA).median == 150.0
    assert figure(total, Measure.MTTD).median == 1500.0
    assert figure(total, Measure.MTTR_IMPACT).median == 3000.0
    assert figure(total, Measure.MTTA_AUTOMATION).n == 0
    assert all(each.variant for each in total.figures)


def test_an_unknown_start_is_left_out_and_an_impossible_one_is_shown(room: Room, statistics: Statistics) -> None:
    handled(room, 1, resolve=5)
    handled(room, 2, resolve=5, started_at=after(minutes=-1))
    handled(room, 3, resolve=5, started_at=after(minutes=1))
    detect = figure(statistics.report(ALL, "severity", after(days=1)).total, Measure.MTTD)
    assert (detect.n, detect.invalid, detect.median) == (1, 1, 60.0)
    assert detect.coverage == pytest.approx(1 / 3)


def test_automations_acknowledgement_has_a_figure_of_its_own(room: Room, statistics: Statistics) -> None:
    incident = room.service.open_or_join(a_report())
    room.go_to(after(seconds=3))
    room.service.execute(incident.id, MACHINE, Acknowledge())
    room.go_to(after(minutes=3))
    room.service.execute(incident.id, ADA, Acknowledge())
    total = statistics.report(ALL, "severity", after(days=1)).total
    assert (figure(total, Measure.MTTA_AUTOMATION).mean, figure(total, Measure.MTTA).mean) == (3.0, 180.0)


def test_drills_false_alarms_and_merged_ones_do_not_count(room: Room, statistics: Statistics) -> None:
    kept = handled(room, 1, ack=1, resolve=2)
    handled(room, 2, ack=1, resolve=2, drill=True)
    room.service.execute(handled(room, 3), ADA, CancelIncident("false alarm"))
    other = handled(room, 4)
    room.service.execute(handled(room, 5), ADA, Merge(other))
    total = statistics.report(ALL, "severity", after(days=9)).total
    assert total.count == 2
    assert {row.target: (row.met, row.breached) for row in total.compliance} == {
        "response": (1, 1),
        "resolution": (1, 1),
    }
    assert kept


def test_compliance_leaves_out_what_is_open_within_its_time(room: Room, statistics: Statistics) -> None:
    handled(room, 1, facts=ALL_AGENTS, ack=10, resolve=100)  # both met
    handled(room, 2, facts=ALL_AGENTS, ack=15, resolve=240)  # at the deadline: both breached
    handled(room, 3, facts=ALL_AGENTS)  # open
    within = statistics.report(ALL, "severity", after(minutes=14)).total.compliance
    past = statistics.report(ALL, "severity", after(hours=5)).total.compliance
    assert [(row.target, row.met, row.breached) for row in within] == [("response", 1, 1), ("resolution", 1, 1)]
    assert [(row.target, row.met, row.breached) for row in past] == [("response", 1, 2), ("resolution", 1, 2)]
    assert past[0].rate == pytest.approx(1 / 3)


def test_what_was_reopened_is_one_resolution_from_its_first_start_and_no_recurrence(
    room: Room, statistics: Statistics
) -> None:
    incident = handled(room, 1, ack=1, resolve=10)
    room.go_to(after(minutes=20))
    room.service.open_or_join(a_report(key="key-1", at=after(minutes=20)))
    room.go_to(after(hours=9))
    room.resolve(incident, "really mended")
    total = statistics.report(ALL, "severity", after(days=1)).total
    assert [(row.met, row.breached) for row in total.compliance] == [(1, 1), (1, 0)]
    assert (total.recurrence.recurred, total.recurrence.resolved) == (0, 1)
    assert figure(total, Measure.MTTR).median == 9 * 3600


def test_what_returns_within_the_window_is_a_recurrence(room: Room, statistics: Statistics) -> None:
    handled(room, 1, resolve=10)
    handled(room, 2, resolve=10)
    room.go_to(after(days=3))
    room.service.open_or_join(a_report(key="key-1", at=after(days=3)))
    recurrence = statistics.report(ALL, "severity", after(days=4)).total.recurrence
    assert (recurrence.recurred, recurrence.resolved, recurrence.rate) == (1, 2, 0.5)


def test_figures_are_split_and_narrowed(room: Room, statistics: Statistics) -> None:
    handled(room, 1, resolve=10, facts=HALF)
    handled(room, 2, resolve=20, facts=ONE_AGENT)
    handled(room, 3, start=after(days=40), resolve=30, scenario=Scenario.WORKFLOW_STUCK)
    now = after(days=50)

    def names(by: str, selection: IncidentSelection = ALL) -> dict[str, int]:
        return {group.name: group.count for group in statistics.report(selection, by, now).groups}

    assert names("severity") == {"P1": 1, "P2": 2}
    assert names("scenario") == {"agent-failure": 2, "workflow-stuck": 1}
    assert names("month") == {"2026-03": 2, "2026-04": 1}
    assert names("severity", IncidentSelection(since=after(days=1))) == {"P2": 1}
    assert names("severity", IncidentSelection(until=after(days=1))) == {"P1": 1, "P2": 1}
    assert names("severity", IncidentSelection(severities=(Severity.P1,))) == {"P1": 1}
    assert names("month", IncidentSelection(scenario=Scenario.WORKFLOW_STUCK)) == {"2026-04": 1}
    p1 = statistics.report(ALL, "severity", now).groups[0]
    assert figure(p1, Measure.MTTR).median == 600.0


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=12))
def test_median_and_percentile_are_those_of_the_textbook(room: Room, statistics: Statistics, values: list[int]) -> None:
    with room.database.write() as connection:
        for table in ("incidents", "incident_documents", "incident_clocks", "incident_timers"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    for number, seconds in enumerate(values):
        handled(room, number, resolve=seconds / 60)
    resolve = figure(statistics.report(ALL, "severity", after(days=1)).total, Measure.MTTR)
    assert resolve.n == len(values)
    assert resolve.median == pytest.approx(by_hand.median(values), abs=1e-3)
    assert resolve.mean == pytest.approx(by_hand.fmean(values), abs=1e-3)
    assert resolve.p90 == pytest.approx(sorted(values)[math.ceil(0.9 * len(values)) - 1], abs=1e-3)

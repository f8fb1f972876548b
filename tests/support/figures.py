"""Figures of incidents for tests: read from each of them, from sums, and compared."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.statistics import IncidentGroup, Statistics, StatisticsReport
from orchestration.storage.database import Database
from orchestration.storage.distributions import RELATIVE_ERROR
from orchestration.storage.incidents.aggregates import GROUPS, IncidentSelection
from orchestration.storage.incidents.figures import IncidentFigures


def exact(database: Database) -> Statistics:
    return Statistics(IncidentFigures(database, exact_up_to=10**9))


def from_sums(database: Database) -> Statistics:
    return Statistics(IncidentFigures(database, exact_up_to=0))


def assert_same(found: StatisticsReport, true: StatisticsReport) -> None:
    assert_same_group(found.total, true.total)
    assert [group.name for group in found.groups] == [group.name for group in true.groups]
    for one, other in zip(found.groups, true.groups, strict=True):
        assert_same_group(one, other)


def assert_same_group(found: IncidentGroup, true: IncidentGroup) -> None:
    """Counts are equal, means but for rounding, ranks within the stated error."""
    assert (found.count, found.compliance, found.recurrence) == (true.count, true.compliance, true.recurrence)
    assert found.endings == true.endings
    for one, other in zip(found.figures, true.figures, strict=True):
        assert (one.n, one.invalid, one.coverage) == (other.n, other.invalid, other.coverage)
        if other.n:
            assert one.mean == pytest.approx(other.mean, rel=1e-9)
            assert one.median == pytest.approx(other.median, rel=RELATIVE_ERROR + 1e-9, abs=0.005)
            assert one.p90 == pytest.approx(other.p90, rel=RELATIVE_ERROR + 1e-9, abs=0.005)


def compare(database: Database, now: datetime, days: float | None = None) -> None:
    """In all ways of splitting, over that time, for all kinds and for some."""
    since = None if days is None else now - timedelta(days=days)
    for selection in (
        IncidentSelection(since, severities=(Severity.P0, Severity.P2)),
        IncidentSelection(since, now - timedelta(days=1), scenario=Scenario.WORKFLOW_STUCK),
        IncidentSelection(since),
    ):
        pairs = zip(
            from_sums(database).reports(selection, GROUPS, now),
            exact(database).reports(selection, GROUPS, now),
            strict=True,
        )
        for found, true in pairs:
            assert_same(found, true)


def compare_all(database: Database, now: datetime) -> None:
    for days in (0.1, 3, 35, 100, None):
        compare(database, now, days)

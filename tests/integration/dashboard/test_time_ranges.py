"""Alerts and the audit trail within a time: what lies in it and nothing else, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestration.domain.alert_status import AlertStatus
from orchestration.storage.alerts import AlertRow
from orchestration.storage.tables import audit
from tests.support.dashboard import Dashboard, a_dashboard
from tests.support.project import ProjectFolder

# The first moment of one month, the last of another, and all between.
OLD = datetime(2024, 2, 29, 23, 59, 59, 999999, UTC)
MARCH = OLD + timedelta(microseconds=1)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    project = ProjectFolder(tmp_path_factory.mktemp("project"), {})
    with a_dashboard(project.configuration_file) as one:
        yield one
        assert one.faults == []


def an_alert(number: int, since: datetime) -> AlertRow:
    state = {"title": f"alert {number}."}
    times = {"since": since, "updated_at": since}
    return AlertRow(
        f"a-{number:03}", f"f{number}", "disk-low", AlertStatus.RESOLVED, "m", "s", "g", {}, 1.0, state, **times
    )


def test_alerts_of_a_month_are_those_that_began_in_it(dashboard: Dashboard) -> None:
    now = dashboard.app.clock.now()
    march = [an_alert(number, MARCH + timedelta(hours=number)) for number in range(1, 31)]
    dashboard.app.alerts.save([an_alert(0, OLD), *march, an_alert(99, now - timedelta(minutes=5))])

    def shown(address: str) -> set[int]:
        return set(map(int, re.findall(r"alert (\d+)\.", dashboard.get(address).text)))

    assert shown("/alerts?month=2024-02") == {0}
    assert shown("/alerts?range=1+h") == {99}
    assert shown("/alerts?month=2024-03") == set(range(6, 31))
    (earlier,) = re.findall(r'href="(/alerts\?[^"]+)">Earlier', dashboard.get("/alerts?month=2024-03").text)
    assert shown(earlier.replace("&amp;", "&")) == set(range(1, 6))
    assert "No resolved alerts that began in 2024-04." in dashboard.get("/alerts?month=2024-04").text
    assert dashboard.get("/alerts?range=8+d").status_code == 422


def test_entries_of_the_audit_trail_are_those_that_were_written_in_the_time(dashboard: Dashboard) -> None:
    times = [OLD, *(MARCH + timedelta(minutes=number) for number in range(60)), dashboard.app.clock.now()]
    names = ("sequence", "at", "actor", "action", "outcome", "details", "digest")
    lines = [
        dict(zip(names, (n, at, "cleo", f"act {n}.", "done", {}, ""), strict=True)) for n, at in enumerate(times, 1)
    ]
    with dashboard.app.database.write() as connection:
        connection.execute(sa.insert(audit), lines)

    def shown(address: str) -> list[int]:
        return sorted(map(int, re.findall(r"act (\d+)\.", dashboard.get(address).text)))

    assert shown("/audit?month=2024-02") == [1]
    assert shown("/audit?range=1+d&actor=cleo") == [62]
    assert shown("/audit?month=2024-03&actor=cleo") == list(range(12, 62))
    (older,) = re.findall(r'href="(/audit\?[^"]+)">Older', dashboard.get("/audit?month=2024-03&actor=cleo").text)
    assert shown(older.replace("&amp;", "&")) == list(range(2, 12))
    assert "No entries by ben in 2024-03." in dashboard.get("/audit?month=2024-03&actor=ben").text

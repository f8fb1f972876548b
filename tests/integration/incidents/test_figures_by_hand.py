"""How incidents ended, and what was reopened: the figures of the database, from incidents and from sums, are those that
a person works out from what happened."""

from __future__ import annotations

import statistics as by_hand
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.statistics import IncidentGroup, Measure
from orchestration.storage.incidents.aggregates import IncidentSelection
from tests.integration.incidents.conftest import Room
from tests.integration.incidents.test_rollup_stories import TABLES
from tests.support.endings import end_as
from tests.support.figures import compare_all, exact, from_sums
from tests.support.incidents import ADA, HALF, NOON, a_report, after

# The reopen window is an hour; a P1 has to be resolved within eight hours.
GAPS = st.sampled_from([10, 59, 61, 300, 470, 490, 2_000])
ENDED = st.tuples(GAPS, st.sampled_from(IncidentEnd))
STORY = st.tuples(ENDED, st.lists(st.tuples(GAPS, ENDED), max_size=3), st.booleans())


@dataclass
class Expected:
    """What a person would count."""

    endings: Counter[str] = field(default_factory=Counter)
    resolution: Counter[str] = field(default_factory=Counter)
    to_resolve: list[float] = field(default_factory=list)

    def count(self, start: datetime, end: datetime | None, ended_by: IncidentEnd, now: datetime, target: float) -> None:
        """One resolution target, from the first start of what was not repaired in between."""
        if (end or now) >= start + timedelta(seconds=target):
            self.resolution["breached"] += 1
        elif end is not None:
            self.resolution["by_workaround" if ended_by is IncidentEnd.WORKAROUND else "met"] += 1


@pytest.fixture
def told(room: Room) -> Callable[[list[tuple[object, ...]]], tuple[Expected, datetime]]:
    """Let stories happen to an empty database, and count along."""

    def happen(stories: list[tuple[object, ...]]) -> tuple[Expected, datetime]:
        with room.database.write() as connection:
            for table in TABLES:
                connection.exec_driver_sql(f"DELETE FROM {table}")
        expected = Expected()
        # A day apart, so that sums of several days are needed; each story may last longer than a day.
        for number, story in enumerate(stories):
            live(room, expected, number, *story)  # type: ignore[arg-type]
        return expected, after(days=30)

    return happen


def live(
    room: Room,
    expected: Expected,
    number: int,
    first: tuple[int, IncidentEnd],
    again: list[tuple[int, tuple[int, IncidentEnd]]],
    open_at_the_end: bool,
) -> None:
    target = room.settings.target(Severity.P1).resolution
    assert target is not None
    assert room.settings.reopen_seconds == 3600
    now = start = detected = after(days=number)
    room.go_to(now)
    incident = room.service.open_or_join(a_report(HALF, now, key=f"key-{number}"))
    ended: tuple[datetime, IncidentEnd] | None = None
    for gap, (minutes, end) in [(0, first), *again]:
        if ended is not None:
            now = ended[0] + timedelta(minutes=gap)
            room.go_to(now)
            room.service.execute(incident.id, ADA, Reopen("it is back"))
            if gap > 60:
                expected.count(start, *ended, now, target)
                start = now
        now += timedelta(minutes=minutes)
        room.go_to(now)
        end_as(room.service, incident.id, end)
        ended = (now, end)
    assert ended is not None
    if open_at_the_end:
        room.go_to(now + timedelta(minutes=30))
        room.service.execute(incident.id, ADA, Reopen("it is back"))
        expected.count(start, None, ended[1], after(days=30), target)
        return
    expected.count(start, *ended, after(days=30), target)
    expected.endings[ended[1].value] += 1
    if ended[1] is not IncidentEnd.WORKAROUND:
        expected.to_resolve.append((ended[0] - detected).total_seconds())


# A story takes a tenth of a second, because the service itself lives it.
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories=st.lists(STORY, min_size=1, max_size=4))
def test_endings_targets_and_times_are_those_counted_by_hand(
    room: Room,
    told: Callable[[list[tuple[object, ...]]], tuple[Expected, datetime]],
    stories: list[tuple[object, ...]],
) -> None:
    expected, now = told(stories)
    for source in (exact, from_sums):
        total = source(room.database).report(IncidentSelection(), "severity", now).total
        assert_counted(total, expected)
    compare_all(room.database, now)


def assert_counted(total: IncidentGroup, expected: Expected) -> None:
    ends = total.endings
    assert {"proof": ends.proof, "person": ends.person, "workaround": ends.workaround} == {
        end.value: expected.endings[end.value] for end in IncidentEnd
    }
    (resolution,) = [one for one in total.compliance if one.target == "resolution"]
    found = {"met": resolution.met, "breached": resolution.breached, "by_workaround": resolution.by_workaround}
    assert found == {name: expected.resolution[name] for name in found}
    assert resolution.rate == pytest.approx(resolution.met / sum(found.values()))
    repair = next(each for each in total.figures if each.measure is Measure.MTTR)
    assert repair.n == len(expected.to_resolve)
    if expected.to_resolve:
        assert repair.median == pytest.approx(by_hand.median(expected.to_resolve), rel=0.02)


def test_a_deadline_that_a_false_end_hid_is_missed_as_soon_as_the_incident_is_back(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    room.go_to(after(hours=7, minutes=30))
    end_as(room.service, incident.id, IncidentEnd.PROOF)
    room.go_to(after(hours=8, minutes=20))
    room.service.execute(incident.id, ADA, Reopen("it is back"))
    found = exact(room.database).report(IncidentSelection(), "severity", after(hours=8, minutes=21)).total.compliance
    assert [(one.target, one.met, one.breached) for one in found][-1] == ("resolution", 0, 1)
    assert room.service.records.get(incident.id).clock.resolution_due == NOON + timedelta(hours=8)

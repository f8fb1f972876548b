"""Whatever is done to incidents, in whatever order: figures from sums are those of the incidents themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.impact import SetImpact
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.commands.suppression import Suppress
from orchestration.incidents.model import IncidentRefusedError
from tests.integration.incidents.conftest import Room
from tests.support.figures import compare, compare_all, from_sums
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, NOON, ONE_AGENT, a_report

FACTS = (ONE_AGENT, HALF, ALL_AGENTS)
SCENARIOS = (Scenario.AGENT_FAILURE, Scenario.WORKFLOW_STUCK)
TABLES = (
    *("incidents", "incident_documents", "incident_clocks", "incident_timers", "incident_entries", "outbox"),
    *("incident_tallies", "incident_tally_marks"),
)
NUMBER = st.integers(0, 5)
STEP = st.tuples(
    st.sampled_from(
        [
            *("report", "report", "report", "drill", "acknowledge", "automation", "resolve", "resolve", "reopen"),
            *("cancel", "merge", "suppress", "worse", "better", "impact", "tick", "read"),
        ]
    ),
    NUMBER,
    NUMBER,
    st.sampled_from([1.5, 40.0, 600.0, 2_000.0, 4_000.0, 12_000.0, 60_000.0]),  # minutes that go by before
)


Steps = list[tuple[str, int, int, float]]


class Story:
    """What is done to incidents, one thing after the other; what cannot be done is left."""

    def __init__(self, room: Room) -> None:
        self.room, self.now, self.known = room, NOON, list[str]()

    def step(self, what: str, number: int, other: int, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)
        self.room.go_to(self.now)
        if what in ("report", "drill"):
            self.report(number, other, drill=what == "drill")
        elif what == "tick":
            while self.room.tick():
                pass
        elif what == "read":
            compare(self.room.database, self.now, days=40)
        elif self.known:
            with contextlib.suppress(IncidentRefusedError):
                self.change(what, self.known[number % len(self.known)], self.known[other % len(self.known)])

    def report(self, number: int, other: int, *, drill: bool) -> None:
        start = None if other == 0 else self.now - timedelta(seconds=37 * other - 60)
        found = self.room.service.open_or_join(
            a_report(
                FACTS[other % len(FACTS)],
                self.now,
                key=f"key-{number}-{drill}",
                scenario=SCENARIOS[number % len(SCENARIOS)],
                started_at=start,
                drill=drill,
            )
        )
        if found.id not in self.known:
            self.known.append(found.id)

    def change(self, what: str, one: str, other: str) -> None:
        service = self.room.service
        doing: dict[str, Callable[[], object]] = {
            "acknowledge": lambda: service.execute(one, ADA, Acknowledge()),
            "automation": lambda: service.execute(one, MACHINE, BeginMitigation("restart")),
            "resolve": lambda: service.execute(one, ADA, Resolve("mended", anyway=True)),
            "reopen": lambda: service.execute(one, ADA, Reopen("it is back")),
            "cancel": lambda: service.execute(one, ADA, CancelIncident("false alarm")),
            "merge": lambda: service.execute(one, ADA, Merge(other)),
            "suppress": lambda: service.execute(one, ADA, Suppress(self.now + timedelta(hours=2), "maintenance")),
            "worse": lambda: service.execute(one, ADA, ChangeSeverity(Severity.P0, "worse")),
            "better": lambda: service.execute(one, ADA, ChangeSeverity(Severity.P3, "better")),
            "impact": lambda: service.execute(one, ADA, SetImpact("slow", self.now - timedelta(days=2))),
        }
        doing[what]()


@pytest.fixture
def tell(room: Room) -> Callable[[Steps], None]:
    """Let a story happen to an empty database, and compare."""

    def happen(steps: Steps) -> None:
        with room.database.write() as connection:
            for table in TABLES:
                connection.exec_driver_sql(f"DELETE FROM {table}")
        story = Story(room)
        for number, step in enumerate(steps):
            story.step(*step)
            if number % 2:
                from_sums(room.database).build_rollups(story.now)
        compare_all(room.database, story.now)
        compare(room.database, story.now + timedelta(days=45))

    return happen


# It takes some seconds: a story is told by the desk itself, and only long ones meet the corners.
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=4, max_size=16))
def test_whatever_is_done_to_incidents_the_sums_give_the_same_figures(
    tell: Callable[[Steps], None], steps: Steps
) -> None:
    tell(steps)

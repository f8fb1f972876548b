"""Failures at random, through the alert engine and the incident service on a real database: exactly the incidents that
the rule foresees, each with its own title, and none joined silently."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.alerts.correlation import failure_subject
from orchestration.clock import FakeClock
from orchestration.events import EventBus
from orchestration.incidents.model import Incident
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.service import IncidentService, Ports
from tests.support.alerts import NOON, Bench
from tests.support.database import migrated
from tests.support.incidents import plan, some_settings

AGENTS, CLASSES, PROVIDERS = ("planner", "executor", "reviewer"), ("time-limit", "own-code", "provider"), ("a", "b")
FAILS = st.tuples(st.just("agent"), st.sampled_from(AGENTS), st.sampled_from(CLASSES))
BREAKS = st.tuples(
    st.just("provider"), st.sampled_from(PROVIDERS), st.sampled_from(("provider-down", "provider-errors"))
)
Trouble = tuple[str, str, str]


class _Reporter:
    """The incident service behind the port of the alert engine."""

    def __init__(self, service: IncidentService) -> None:
        self._service = service

    def report(self, report: TroubleReport) -> None:
        self._service.open_or_join(report)

    def clear(self, key: str, at: datetime, *, observed: bool) -> None:
        self._service.mark_cleared(key, at, observed=observed)

    def mark(self, key: str, *, silence: str, flapping: bool) -> None:
        self._service.mark(key, silence=silence, flapping=flapping)


def happen(bench: Bench, trouble: Trouble, number: int) -> None:
    kind, who, what = trouble
    if kind == "agent":
        cause = failure_subject(who, what)
        labels = {"agent": who, "failure": what, "outcome": "failed", "run": f"run-{number}", "cause": cause}
        bench.signal("agent_finished", kind="x", **labels)
        bench.signal("run_finished", **labels)
    elif what == "provider-down":
        bench.signal("provider_up", 0, provider=who)
    else:
        bench.signal("error_rate_ratio", 9, provider=who, model="m")


def foreseen(troubles: list[Trouble]) -> set[str]:
    """The keys of the incidents: an agent and a class, or a provider; a failure by a provider that is down is part of
    that provider's incident from then on."""
    keys, down = set(), False
    for kind, who, what in troubles:
        if kind == "provider":
            keys.add(f"provider-unavailable:{who}")
            down |= what == "provider-down"
        elif not (what == "provider" and down):
            keys.add(f"agent-failure:{failure_subject(who, what)}")
    return keys


@settings(max_examples=8, deadline=None)
@given(st.lists(FAILS | BREAKS, min_size=1, max_size=6))
def test_random_failures_give_exactly_the_incidents_that_are_foreseen(troubles: list[Trouble]) -> None:
    with TemporaryDirectory() as folder, closing(migrated(f"sqlite:///{Path(folder)}/o.db")) as database:
        clock = FakeClock(NOON)
        service = IncidentService(
            database, EventBus(clock), clock, Ports(settings=some_settings, plan=plan, redact=lambda data: data)
        )
        bench = Bench(database, {"agents": [{"id": agent} for agent in AGENTS]})
        bench.reporter = _Reporter(service)  # type: ignore[assignment]
        bench.restart()
        for number, trouble in enumerate(troubles):
            happen(bench, trouble, number)
            _wait(bench, clock, lambda trouble=trouble, number=number: _again(bench, trouble, number))
        incidents = [service.records.get(row.id) for row in service.records.table.list(limit=100)]
        assert {one.key for one in incidents} == foreseen(troubles)
        assert len(incidents) == len({one.key for one in incidents})
        for incident in incidents:
            _check_that_nothing_joined_silently(service, incident)


def _again(bench: Bench, trouble: Trouble, number: int) -> None:
    # A measured value is reported again and again; an event is not.
    if trouble[2] == "provider-errors":
        happen(bench, trouble, number)


def _wait(bench: Bench, clock: FakeClock, before_each: Callable[[], object]) -> None:
    # The first evaluation sees a measured value; from then on it has to hold for a minute.
    end = bench.now + timedelta(seconds=105)
    while bench.now < end:
        bench.now += timedelta(seconds=35)
        clock._elapsed = (bench.now - NOON) / timedelta(seconds=1)
        before_each()
        bench.evaluate()


def _check_that_nothing_joined_silently(service: IncidentService, incident: Incident) -> None:
    entries = service.records.entries(incident.id)
    told = [cause for entry in entries if entry.kind == "cause-added" for cause in entry.data["causes"]]
    assert len(incident.causes) == 1 + len(told)
    assert set(told) < set(incident.causes)
    assert incident.responses == sum(entry.kind == "cause-added" for entry in entries)

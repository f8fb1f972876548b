"""Storms of alerts, through the inbox, the alert engine and the incident service on a real database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.alerts import engine
from orchestration.alerts.inbound import InboundAlert
from orchestration.clock import FakeClock
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.events import EventBus
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.model import Incident
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.service import IncidentService, Ports
from orchestration.storage.alert_inbox import LEAST_URGENT, InboxDelivery
from orchestration.storage.database import Database
from orchestration.storage.outbox import Outbox
from tests.support.alerts import NOON, Bench
from tests.support.database import migrated
from tests.support.incidents import ADA, plan, some_settings

LIMIT = 3
# Group, subject, severity, whether it fires.
Sent = tuple[str, int, Severity, bool]


@dataclass
class Reporter:
    """The incident service behind the port of the alert engine; `order` holds the severities of the last reports."""

    service: IncidentService
    order: list[Severity] = field(default_factory=list)

    def report(self, report: TroubleReport) -> None:
        declared = report.facts.declared
        assert declared is not None
        self.order.append(declared)
        self.service.open_or_join(report)

    def clear(self, key: str, at: datetime, *, observed: bool) -> None:
        self.service.mark_cleared(key, at, observed=observed)

    def mark(self, key: str, *, silence: str, flapping: bool) -> None:
        self.service.mark(key, silence=silence, flapping=flapping)


class Response:
    """An engine, an incident service and an outbox on one database."""

    def __init__(self, database: Database) -> None:
        storms = {"incidents": LIMIT, "incidentsOfSender": 8}
        # An alert that flaps goes on firing for a while, whatever its sender says.
        self.bench = Bench(database, {"alerting": {"storms": storms, "flapping": {"transitions": 50}}})
        clock = FakeClock(NOON)
        ports = Ports(some_settings, plan, lambda data: data)
        self.service = IncidentService(database, EventBus(clock), clock, ports)
        self.outbox = Outbox(database)
        self.reporter = Reporter(self.service)
        self.clock = clock
        self.restart()

    def restart(self) -> None:
        self.bench.reporter = self.reporter  # type: ignore[assignment]
        self.bench.restart()

    def send(self, *alerts: Sent) -> None:
        """Put a delivery into the inbox, as the intake does."""
        urgency = min((severity.number for *_, severity, firing in alerts if firing), default=LEAST_URGENT)
        notices = [_inbound(*alert, self.bench.now).to_json() for alert in alerts]
        self.bench.inbox.add(InboxDelivery("alertmanager", self.bench.now, notices, urgency=urgency))

    def evaluate(self) -> None:
        """Let a second pass, and evaluate once. What is reported is reported worst first."""
        self.bench.now += timedelta(seconds=1)
        self.clock._elapsed += 1
        self.reporter.order.clear()
        self.bench.evaluate()
        assert self.reporter.order == sorted(self.reporter.order)
        self.service.fire_due_timers(self.clock.now())

    def settle(self) -> None:
        """Evaluate until nothing waits."""
        for _ in range(500):
            self.evaluate()
            if not self.bench.inbox.count() and not self.bench.engine._notifier.left:
                self.evaluate()
                return
        raise AssertionError("the inbox does not become empty")

    def incidents(self) -> list[Incident]:
        table = self.service.records.table
        return [self.service.records.get(row.id) for row in table.list(limit=1000)]

    def open_of(self, subject: str) -> Incident | None:
        """The open incident in whose group an alert is reported."""
        (alert,) = [one for one in self.bench.engine.alerts if one.subject == subject and one.firing]
        found = [incident for incident in self.incidents() if incident.key == alert.group and incident.status.is_open]
        return found[0] if found else None


def _inbound(group: str, number: int, severity: Severity, firing: bool, now: datetime) -> InboundAlert:
    subject = f"{group}{number}"
    labels = {"host": subject}
    return InboundAlert(
        "Down", f"f-{subject}", firing, now, labels, f"{subject} is down", severity=severity, sender_group=group
    )


@contextmanager
def response() -> Iterator[Response]:
    with (
        TemporaryDirectory() as folder,
        closing(migrated(f"sqlite:///{Path(folder)}/orchestrator.db")) as database,
    ):
        yield Response(database)


@pytest.fixture(autouse=True, scope="module")
def _small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_ALERTS_PER_EVALUATION", 4)
        yield


sent = st.tuples(st.sampled_from("ab"), st.integers(0, 7), st.sampled_from(list(Severity)), st.booleans())
steps = st.lists(
    st.one_of(st.lists(sent, min_size=1, max_size=6), st.sampled_from(["evaluate", "restart"])), max_size=30
)


@settings(max_examples=20)
@given(steps)
def test_no_interleaving_loses_an_alert_or_ends_a_group_in_which_one_fires(given: list[list[Sent] | str]) -> None:
    with response() as here:
        last: dict[str, bool] = {}
        for step in given:
            match step:
                case "evaluate":
                    here.evaluate()
                case "restart":
                    here.restart()
                case [*alerts]:
                    here.send(*alerts)
                    last |= {f"{group}{number}": firing for group, number, _, firing in alerts}
        here.settle()
        fires = {subject for subject, firing in last.items() if firing}
        assert {one.subject for one in here.bench.engine.alerts if one.firing} == fires
        # An incident is open for each, and it says how many it is about.
        for subject in fires:
            incident = here.open_of(subject)
            assert incident is not None
            assert incident.known_conditions[incident.key].fires
        members: dict[str, set[str]] = defaultdict(set)
        for one in here.bench.engine.alerts:
            if one.firing:
                members[one.group].add(one.id)
        for incident in here.incidents():
            if incident.status.is_open and incident.known_conditions[incident.key].fires:
                assert members[incident.key], "nothing of it fires"
        # Two groups, four severities, one storm for each group and one for the sender.
        assert len({incident.key for incident in here.incidents()}) <= 2 * 4 * LIMIT + 3
        for subject in sorted(fires):
            here.send((subject[0], int(subject[1:]), Severity.P2, False))
        here.settle()
        assert not [
            incident
            for incident in here.incidents()
            if incident.status.is_open and incident.known_conditions[incident.key].fires
        ]


def test_what_is_worse_does_not_wait_behind_a_storm_and_older_messages_do_not_undo_it() -> None:
    with response() as here:
        for number in range(20):
            here.send(*(("a", 4 * number + each, Severity.P2, True) for each in range(4)))
        here.send(("b", 1, Severity.P3, False))
        here.send(("b", 1, Severity.P0, True), ("b", 2, Severity.P3, True))
        here.evaluate()
        incident = here.open_of("b1")
        assert incident is not None
        assert incident.severity is Severity.P0
        (occurrence,) = [one.id for one in here.bench.engine.alerts if one.subject == "b1"]
        # The end of an earlier occurrence, which has its turn later, ends nothing; neither does a restart before it.
        here.restart()
        here.settle()
        assert [one.id for one in here.bench.engine.alerts if one.subject == "b1" and one.firing] == [occurrence]
        assert "cleared" not in [entry.kind for entry in here.service.records.entries(incident.id)]
        # Numbers of deliveries begin again in an empty inbox.
        here.restart()
        here.send(("b", 1, Severity.P0, False))
        here.settle()
        assert not [one for one in here.bench.engine.alerts if one.subject == "b1" and one.firing]


def test_a_storm_is_one_incident_with_few_messages_that_ends_with_its_last_alert() -> None:
    with response() as here:
        for begin in range(0, 1000, 100):
            here.send(*(("a", begin + number, Severity.P2, True) for number in range(100)))
            here.evaluate()
        here.settle()
        (storm,) = here.incidents()
        assert storm.storm is not None
        assert storm.storm.total >= 500, "it is reported again when it has doubled"
        assert storm.title.startswith("Storm of ")
        messages = here.outbox.list_for_incident(storm.id)
        assert len({row.payload.get("step", row.key) for row in messages}) <= 5
        here.send(*(("a", number, Severity.P2, False) for number in range(999)))
        here.settle()
        assert here.incidents()[0].known_conditions[storm.key].fires
        here.send(("a", 999, Severity.P2, False))
        here.settle()
        assert not here.incidents()[0].known_conditions[storm.key].fires
        here.clock._elapsed += 7200
        here.service.fire_due_timers(here.clock.now())
        assert here.incidents()[0].status is IncidentStatus.RESOLVED


def test_a_storm_goes_on_in_alerts_that_join_while_the_others_end() -> None:
    with response() as here:
        here.send(*(("a", number, Severity.P2, True) for number in range(9)))
        here.settle()
        for number in range(9, 12):
            here.send(("a", number, Severity.P2, True), *(("a", each, Severity.P2, False) for each in range(number)))
            here.settle()
            (storm,) = here.incidents()
            assert storm.known_conditions[storm.key].fires
        kinds = [entry.kind for entry in here.service.records.entries(storm.id)]
        assert not {"cleared", "returned"} & set(kinds)


def test_a_storm_that_somebody_has_in_hand_pages_again_for_something_worse() -> None:
    with response() as here:
        here.send(*(("a", number, Severity.P2, True) for number in range(9)))
        here.settle()
        (storm,) = here.incidents()
        here.service.execute(storm.id, ADA, Acknowledge())
        here.send(*(("a", 100 + number, Severity.P0, True) for number in range(4)))
        here.settle()
        (storm,) = here.incidents()
        assert storm.severity is Severity.P0
        assert not storm.acknowledged
        assert storm.page_due is not None


def test_what_is_silenced_adds_nothing_to_a_storm() -> None:
    with response() as here:
        here.bench.silence("host=~a.*")
        here.send(*(("a", number, Severity.P2, True) for number in range(50)), ("b", 1, Severity.P2, True))
        here.settle()
        (incident,) = here.incidents()
        assert incident.storm is None

"""Inbound alerts in the engine: repetitions, late deliveries, and resolutions that must not get lost."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta

import pytest

from orchestration.alerts.intake import AlertIntake
from orchestration.alerts.sources.alertmanager import ALERTMANAGER
from orchestration.alerts.webhook_auth import sign
from orchestration.config.alerting import IntakeSettings
from orchestration.domain.alert_status import AlertStatus
from orchestration.storage.alert_inbox import InboxDelivery
from orchestration.storage.database import Database
from tests.support.alerts import NOON, Bench
from tests.support.intake import a_webhook, one

KEY = "external-alert:web-1"


OWN = "inc-1m8kpy8ps90fez"


def own_incidents(incidents: Collection[str]) -> set[str]:
    return {OWN} & set(incidents)


class InboundSender:
    """A sender with valid credentials."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        settings = IntakeSettings(secret_env="S")
        self.intake = AlertIntake(bench.inbox, lambda: settings, {"S": "secret"}.get, lambda data: data, own_incidents)

    def send(self, *alerts: dict[str, object], cut_off: int = 0) -> int:
        body = json.dumps(a_webhook(*alerts, truncatedAlerts=cut_off)).encode()
        now = int(self.bench.now.timestamp())
        headers = {"x-orchestrator-timestamp": str(now), "x-orchestrator-signature": sign("secret", now, body)}
        return self.intake.accept(ALERTMANAGER, headers, body, self.bench.now).accepted


@pytest.fixture
def sender(bench: Bench) -> InboundSender:
    return InboundSender(bench)


def test_repetitions_change_nothing(bench: Bench, sender: InboundSender) -> None:
    for _ in range(3):
        sender.send(one())
        bench.evaluate()
        bench.now += timedelta(seconds=1)
    assert list(bench.reported()) == [("report", KEY)]
    assert len(bench.alerts.list()) == 1
    for _ in range(3):
        sender.send(one("resolved"))
        bench.evaluate()
        bench.now += timedelta(seconds=1)
    assert list(bench.reported()) == [("clear", KEY)]


def test_what_fires_after_it_was_resolved_is_news_whatever_its_times(bench: Bench, sender: InboundSender) -> None:
    # A Prometheus that was halted for a while reports the same occurrence, with the same start, after its end.
    for status in ("firing", "resolved", "firing"):
        sender.send(one(status))
        bench.evaluate()
    assert list(bench.reported()) == [("report", KEY), ("clear", KEY), ("report", KEY)]
    sender.send(one(startsAt="2026-03-01T23:45:00Z"))  # by a clock that is hours ahead
    bench.evaluate()
    sender.send(one("resolved"))  # ended at 12:30, before that
    bench.evaluate()
    assert list(bench.reported()) == [("clear", KEY)]
    assert [row.status for row in bench.alerts.list()] == [AlertStatus.RESOLVED, AlertStatus.RESOLVED]


def test_an_alert_that_begins_and_ends_between_two_evaluations_is_reported(bench: Bench, sender: InboundSender) -> None:
    sender.send(one())
    sender.send(one("resolved", endsAt="2026-03-01T12:00:00.5Z"))
    bench.evaluate()
    assert bench.inbox.count() == 1
    bench.evaluate()
    assert list(bench.reported()) == [("report", KEY), ("clear", KEY)]
    assert bench.inbox.count() == 0


def test_each_alert_is_judged_by_its_own_status(bench: Bench, sender: InboundSender) -> None:
    sender.send(one(), one(fingerprint="aa", labels={"alertname": "Full", "instance": "db-1"}))
    bench.evaluate()
    sender.send(one("resolved"), one(fingerprint="aa", labels={"alertname": "Full", "instance": "db-1"}))
    bench.evaluate()
    # The worst first: the other one says nothing of its severity.
    assert list(bench.reported()) == [("report", KEY), ("report", "external-alert:db-1"), ("clear", KEY)]


def test_the_inbox_is_emptied_only_when_its_alerts_are_kept(
    bench: Bench, sender: InboundSender, database: Database
) -> None:
    sender.send(one())
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE alerts RENAME TO alerts_away")
    bench.evaluate()
    assert bench.inbox.count() == 1
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE alerts_away RENAME TO alerts")
    bench.restart()
    bench.evaluate()
    assert bench.inbox.count() == 0
    assert [row.name for row in bench.alerts.list()] == ["HighLoad"]


def test_an_alert_that_its_sender_no_longer_repeats_ends_after_a_day(bench: Bench, sender: InboundSender) -> None:
    sender.send(one())
    bench.evaluate()
    bench.now += timedelta(hours=23)
    bench.evaluate()
    assert list(bench.reported()) == [("report", KEY), ("report", KEY)]  # the second is the repetition
    bench.now += timedelta(hours=2)
    bench.evaluate()
    assert list(bench.reported()) == [("silent", KEY)]


def test_an_unreadable_alert_is_left_out_and_the_others_are_not(bench: Bench, sender: InboundSender) -> None:
    bench.inbox.add(InboxDelivery("alertmanager", NOON, [{"name": "half"}]))
    sender.send(one())
    bench.evaluate()
    assert list(bench.reported()) == [("report", KEY)]
    assert bench.inbox.count() == 0
    assert bench.engine.errors.counts["inbound alertmanager"] == 1


def test_an_alert_from_outside_is_muted_like_our_own(bench: Bench, sender: InboundSender) -> None:
    silence = bench.silence("alertname=HighLoad", "instance=~web-.*")
    sender.send(one())
    bench.evaluate()
    assert list(bench.reported()) == []
    bench.silences.expire(silence.id, bench.now)
    bench.evaluate()
    assert list(bench.reported()) == [("report", KEY)]


def test_thousands_of_alerts_become_one_row_each(bench: Bench, sender: InboundSender) -> None:
    many = [
        one(fingerprint=f"f{number}", labels={"alertname": "A", "host": f"h{number % 7}"}) for number in range(3000)
    ]
    assert sender.send(*many, cut_off=5) == 3000
    while bench.inbox.count():  # it is taken in parts
        bench.evaluate()
    assert len(bench.alerts.list(limit=10_000)) == 3000
    assert len(set(bench.reported())) == 7
    bench.evaluate()
    assert list(bench.reported()) == []


def test_a_sender_cannot_poison_the_store(bench: Bench, sender: InboundSender) -> None:
    odd = {"alertname": "\ud800\0", "instance": "\udfff", "n\0": "x"}
    sender.send(one(fingerprint="\ud800", labels=odd, annotations={"summary": "\ud800"}), one())
    bench.evaluate()
    assert len(bench.alerts.list()) == 2
    assert bench.engine.errors.failing == frozenset()


def test_the_start_of_an_alert_whose_sender_does_not_say_is_unknown(bench: Bench, sender: InboundSender) -> None:
    sender.send(one(startsAt=None))
    bench.evaluate()
    assert [report.started_at for report in bench.reporter.reports] == [None]
    # It stays unknown after a restart; what another sender says of the same subject is known.
    bench.restart()
    bench.now += timedelta(minutes=1)
    labels = {"alertname": "Other", "instance": "web-1", "severity": "critical"}
    sender.send(one(labels=labels, fingerprint="b2", startsAt="2026-03-01T11:50:00Z"))
    bench.evaluate()
    assert bench.reporter.reports[-1].started_at == NOON - timedelta(minutes=10)


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        ({"alertname": "OrchestratorIncident", "incident": OWN, "origin": "agent-orchestration"}, 0),
        ({"alertname": "OrchestratorIncident", "incident": "inc-2m8kpy8ps90fez", "origin": "agent-orchestration"}, 1),
        ({"alertname": "OrchestratorSevereIncident", "origin": "agent-orchestration", "doubles": "own-monitoring"}, 0),
        ({"alertname": "OrchestratorDown", "severity": "critical"}, 1),
        ({"alertname": "Broken", "origin": "agent-orchestration"}, 1),
        ({"alertname": "Broken", "note": f"as in {OWN}", "subject": f"as in {OWN}"}, 1),
    ],
)
def test_what_this_system_has_said_itself_does_not_come_back(
    bench: Bench, sender: InboundSender, labels: dict[str, str], taken: int
) -> None:
    for status in ("firing", "resolved"):
        assert sender.send(one(status, labels=labels)) == taken
    assert bench.inbox.count() == 2 * taken

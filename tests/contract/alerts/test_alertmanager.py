"""The real Alertmanager posts to our intake: what fires there fires here, and what ends there ends here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.severity import Severity
from tests.support.alertmanager import alertmanager, an_alert, binary
from tests.support.alerts import Bench
from tests.support.intake import ALERTMANAGER, running_intake
from tests.support.intake_process import TOKEN
from tests.support.patience import patient, until

CONFIGURATION = """
route:
  receiver: us
  group_by: [alertname]
  group_wait: 10ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: us
    webhook_configs:
      - url: {url}
        send_resolved: true
        http_config:
          authorization:
            credentials: {token}
"""


@pytest.fixture(scope="session")
def program() -> Path:
    return binary()


def test_what_fires_and_ends_there_is_told_and_cleared_here(program: Path, tmp_path: Path) -> None:
    with running_intake(tmp_path / "orchestrator.db") as intake:
        configuration = CONFIGURATION.format(url=intake.url + ALERTMANAGER, token=TOKEN)
        with alertmanager(program, tmp_path, configuration) as sender:
            bench = Bench(intake.database)

            def told(kind: str) -> bool:
                bench.now = datetime.now(UTC)
                bench.evaluate()
                return (kind, "external-alert:web-1") in bench.reporter.calls

            sender.post(an_alert("HighLoad", instance="web-1", severity="warning"))
            until(lambda: told("report"))
            (firing,) = bench.alerts.list()
            sender.post(an_alert("HighLoad", ends_at=datetime.now(UTC), instance="web-1", severity="warning"))
            until(lambda: told("clear"))
    assert (firing.status, firing.name, firing.source) == (AlertStatus.FIRING, "HighLoad", "alertmanager")
    assert bench.reporter.reports[0].facts.declared is Severity.P2
    assert bench.reporter.reports[0].title == "HighLoad is bad"
    assert [call for call, _ in bench.reporter.calls] == ["report", "clear"]
    (resolved,) = bench.alerts.list()
    assert (resolved.id, resolved.status) == (firing.id, AlertStatus.RESOLVED)
    assert resolved.since - firing.since < timedelta(seconds=1)


def test_it_tries_again_until_we_are_there(program: Path, tmp_path: Path) -> None:
    """Our process dies before it has written: Alertmanager keeps the alert, and brings it to the next process."""
    file = tmp_path / "orchestrator.db"
    with running_intake(file, "before-write") as dying:
        port = int(dying.url.rpartition(":")[2])
        configuration = CONFIGURATION.format(url=dying.url + ALERTMANAGER, token=TOKEN)
        with alertmanager(program, tmp_path, configuration) as sender:
            sender.post(an_alert("HighLoad", instance="web-1"))
            assert dying.process.wait(patient(20)) == 9
            with running_intake(file, port=port) as intake:
                until(lambda: intake.inbox.count() > 0)

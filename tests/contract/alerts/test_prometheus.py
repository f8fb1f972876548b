"""A real Prometheus takes us for its Alertmanager: what its rules find fires here, and ends here when they find it no
more."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.severity import Severity
from tests.support import debian_server
from tests.support.alerts import Bench
from tests.support.intake import RunningIntake, running_intake
from tests.support.intake_process import TOKEN
from tests.support.patience import until

CONFIGURATION = """
global: {{ evaluation_interval: 1s, external_labels: {{ datacenter: north }} }}
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{{ targets: ["{target}"] }}]
      authorization: {{ credentials: {token} }}
"""

RULES = """
groups:
  - name: ours
    rules:
      - alert: QueueTooLong
        expr: label_replace(vector(42), "instance", "web-1", "", "") > {limit}
        labels: {{ severity: warning }}
        annotations:
          summary: "{{{{ $labels.instance }}}} has {{{{ $value }}}} waiting"
          runbook_url: https://runbooks.example.org/queue
"""


def test_what_its_rules_find_fires_here_until_they_find_it_no_more(tmp_path: Path) -> None:
    program = debian_server.binary("prometheus")
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES.format(limit=10))
    with running_intake(tmp_path / "orchestrator.db") as intake:
        told = watched(intake)
        file = tmp_path / "prometheus.yml"
        target = intake.url.removeprefix("http://")
        file.write_text(CONFIGURATION.format(target=target, token=TOKEN))
        address = f"127.0.0.1:{debian_server.free_port()}"
        command = [
            str(program),
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={address}",
            # What it sends before it has found its Alertmanagers is lost, and said again only after a minute.
            "--rules.alert.resend-delay=6s",
        ]
        with debian_server.running(command, f"http://{address}", tmp_path) as process:
            bench: Bench = until(lambda: told("report"))
            (firing,) = bench.alerts.list()
            rules.write_text(RULES.format(limit=100))
            process.send_signal(signal.SIGHUP)
            until(lambda: told("clear"))
    assert (firing.status, firing.name, firing.source) == (AlertStatus.FIRING, "QueueTooLong", "prometheus")
    (report,) = bench.reporter.reports
    assert (report.facts.declared, report.title) == (Severity.P2, "web-1 has 42 waiting")
    assert "https://runbooks.example.org/queue" in str(report)
    assert [call for call, _ in bench.reporter.calls] == ["report", "clear"]


def watched(intake: RunningIntake) -> Callable[[str], Any]:
    """A question: whether this was told of the host; gives the bench that evaluates what has come in."""
    bench = Bench(intake.database)

    def told(kind: str) -> Bench | None:
        bench.now = datetime.now(UTC)
        bench.evaluate()
        return bench if (kind, "external-alert:web-1") in bench.reporter.calls else None

    return told

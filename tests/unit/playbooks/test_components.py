"""Which part of the system itself an incident is about decides which playbook is used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.model import Incident
from orchestration.incidents.severity import SeverityReason
from orchestration.incidents.sla import SlaClock
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.incident_updates import facts_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOOKS = PlaybookCatalogue(Path("nowhere"))


def an_incident(**labels: str) -> Incident:
    clock = SlaClock(NOW, NOW, NOW)
    return Incident(
        id="inc-1",
        key="key",
        scenario=Scenario.CONTROL_PLANE,
        severity=Severity.P1,
        assessed_severity=Severity.P1,
        first_severity=Severity.P1,
        severity_reason=SeverityReason.UNSURE,
        title="Trouble",
        summary="",
        detected_at=NOW,
        last_seen_at=NOW,
        changed_at=NOW,
        clock=clock,
        policy="",
        playbook="",
        labels=labels,
    )


@pytest.mark.parametrize(
    ("rule", "playbook"),
    [
        ("database-down", "database-down"),
        ("database-damaged", "database-down"),
        ("worker-lost", "worker-lost"),
        ("workers-crashing", "worker-lost"),
        ("backup-old", "backup-failed"),
        ("channel-down", "channel-down"),
        ("loop-late", "control-plane"),
    ],
)
def test_the_rule_that_fired_chooses_the_playbook(rule: str, playbook: str) -> None:
    chosen = BOOKS.choose(Scenario.CONTROL_PLANE, facts_of(an_incident(alertname=rule), Configuration()))
    assert chosen is not None
    assert chosen.name == playbook


def test_what_an_alert_from_outside_says_of_itself_counts_more() -> None:
    facts = facts_of(an_incident(alertname="worker-lost", component="database"), Configuration())
    assert facts["incident.component"] == "database"

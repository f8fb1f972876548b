"""Which playbook an incident gets, by the alert that it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.alerts.defaults import default_rules
from orchestration.config.monitoring import Thresholds
from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.incident_updates import facts_of
from tests.support.incidents import a_report, declared

CATALOGUE = PlaybookCatalogue(Path("/nowhere"))
OURSELVES = {
    "database-down": "database-down",
    "database-damaged": "database-down",
    "worker-lost": "worker-lost",
    "workers-crashing": "worker-lost",
    "backup-old": "backup-failed",
    "backup-failed": "backup-failed",
    "channel-down": "channel-down",
    "loop-late": "control-plane",
}


def chosen(scenario: Scenario, alert: str) -> str:
    incident = declared(a_report(scenario=scenario, labels={"alertname": alert})).incident
    playbook = CATALOGUE.choose(scenario, facts_of(incident, Configuration()))
    assert playbook is not None
    return playbook.name


@pytest.mark.parametrize(("alert", "playbook"), OURSELVES.items())
def test_trouble_of_our_own_gets_the_playbook_of_its_part(alert: str, playbook: str) -> None:
    assert alert in {rule.name for rule in default_rules(Thresholds())}
    assert chosen(Scenario.CONTROL_PLANE, alert) == playbook


def test_every_rule_leads_to_a_playbook() -> None:
    for rule in default_rules(Thresholds()):
        assert chosen(rule.scenario, rule.name)


@pytest.mark.parametrize(
    ("labels", "component"), [({}, ""), ({"component": "cache", "alertname": "worker-lost"}, "cache")]
)
def test_a_label_wins_over_the_alerts_name(labels: dict[str, str], component: str) -> None:
    incident = declared(a_report(labels=labels)).incident
    assert facts_of(incident, Configuration())["incident.component"] == component

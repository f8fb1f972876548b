"""What other systems report: whatever they write into an alert, it selects no playbook of ours and changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.incident_reports import report_of
from orchestration.alerts.model import Alert, AlertTiming, advance
from orchestration.alerts.source import AlertSource, InboundRequest
from orchestration.alerts.sources.alertmanager import ALERTMANAGER
from orchestration.alerts.sources.webhook import WEBHOOK
from orchestration.config.alerting import IntakeSettings
from orchestration.config.checks.alerting import KNOWN_ACTIONS
from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import lifecycle
from orchestration.incidents.lifecycle import DetectionSnapshot
from orchestration.incidents.model import Incident
from orchestration.incidents.report import OWN_SOURCE
from orchestration.playbooks import guards
from orchestration.playbooks.actions.registry import REGISTRY
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.execution import PlaybookExecution, StepExecutor
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.guards import Guard, GuardSituation
from orchestration.playbooks.incident_updates import facts_of
from orchestration.playbooks.model import GuardSettings, Mode, Risk, Step
from tests.support.incidents import some_settings

CATALOGUE = PlaybookCatalogue(Path("nowhere"))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OURS = ("agent", "run", "provider", "scenario", "component", "source", "drill", "subject", "host", "alertname")
WORDS = st.sampled_from(["security-alert", "monitoring", "database", "planner", "first", "run-1", "P0", "true"])
TEXTS = st.one_of(WORDS, st.text(max_size=40))
LABELS = st.dictionaries(st.one_of(st.sampled_from(OURS), st.text(min_size=1, max_size=20)), TEXTS, max_size=8)


@st.composite
def alerts(draw: st.DrawFn) -> tuple[AlertSource, dict[str, Any]]:
    """A delivery of either kind, with anything in it that a sender may write."""
    labels = draw(LABELS)
    severity = draw(st.sampled_from(["critical", "page", "warning", "none", "nonsense"]))
    if draw(st.booleans()):
        alert = {"status": "firing", "labels": {"severity": severity, **labels}, "annotations": draw(LABELS)}
        return ALERTMANAGER, {"version": "4", "alerts": [alert]}
    name = draw(st.text(min_size=1, max_size=20).filter(str.strip))
    scenario = draw(st.sampled_from(list(Scenario)))
    return WEBHOOK, {"name": name, "severity": severity, "scenario": scenario.value, "labels": labels}


def incident_of(source: AlertSource, body: dict[str, Any], settings: IntakeSettings | None = None) -> Incident:
    """The incident that a delivery opens."""
    intake = settings or IntakeSettings()
    request = InboundRequest({}, json.dumps(body).encode(), intake, NOW)
    group: list[Alert] = []
    for one in source.read(request).alerts:
        observation = one.classified(intake).observation(source.name)
        alert = advance(None, observation, AlertTiming(), NOW, lambda: "alert-1")
        assert alert is not None
        group.append(alert)
    snapshot = DetectionSnapshot(some_settings(), "policy", "playbook")
    return lifecycle.declare("inc-1", report_of(group, NOW), snapshot, NOW).incident


@given(alerts())
def test_no_text_of_a_sender_selects_a_playbook_of_ours(sent: tuple[AlertSource, dict[str, Any]]) -> None:
    incident = incident_of(*sent)
    assert incident.external
    assert incident.scenario is Scenario.EXTERNAL_ALERT
    blast = incident.blast_radius
    assert (blast.agents, blast.providers, blast.runs) == ((), (), ())
    chosen = CATALOGUE.choose(incident.scenario, facts_of(incident, Configuration()))
    assert chosen is not None
    assert chosen.name == "external-alert"
    # A cause of ours would be invented: the trouble is somewhere else.
    assert (chosen.hypotheses, chosen.mitigate, chosen.verify) == ((), (), None)


class _Nothing:
    """Records without a row."""

    def automatic_since(self, *_: Any) -> tuple[()]:
        return ()

    def find_trip(self, *_: Any) -> None:
        return None


def an_executor(**intake: Any) -> StepExecutor:
    configuration = Configuration.model_validate({"alerting": {"intake": intake}})
    services: Any = SimpleNamespace(
        configuration=lambda: configuration,
        clock=SimpleNamespace(now=lambda: NOW),
        fleet=SimpleNamespace(workers=lambda: ()),
        redactor=SimpleNamespace(text=str),
    )
    records: Any = _Nothing()
    return StepExecutor(services, records)


def an_execution(source: str) -> PlaybookExecution:
    return PlaybookExecution("r", "inc-1", "p", GuardSettings(), drill=False, external=source != OWN_SOURCE)


CHANGING = sorted(name for name, kind in REGISTRY.items() if kind.risk is not Risk.READS and "." in name)


@pytest.mark.parametrize("name", [name for name in CHANGING if not name.startswith("mark.")])
async def test_no_step_of_any_playbook_may_change_something_for_another_system(name: str) -> None:
    step = Step.model_validate({"step": "one", "do": name, "mode": "auto"})
    action: Any = SimpleNamespace(risk=REGISTRY[name].risk)
    executor = an_executor()
    judged = await executor._judge(an_execution("webhook"), step, action, ("one",), 0)
    assert (judged.mode, judged.guard) == (Mode.OFF, Guard.EXTERNAL_ALERT)
    assert (await executor._judge(an_execution(OWN_SOURCE), step, action, ("one",), 0)).mode is not Mode.OFF


@given(
    st.sampled_from([Mode.AUTO, Mode.ASK, Mode.SUGGEST]),
    st.sampled_from([Risk.REVERSIBLE, Risk.DESTRUCTIVE]),
    st.builds(GuardSettings, runs_per_hour=st.integers(0, 100), attempts=st.integers(1, 10)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 20),
    st.one_of(st.none(), st.lists(st.text(max_size=3), max_size=2).map(tuple)),
)
def test_no_setting_of_a_playbook_lets_it(
    wanted: Mode,
    risk: Risk,
    settings: GuardSettings,
    enabled: bool,
    allowed: bool,
    attempts: int,
    targets: tuple[str, ...] | None,
) -> None:
    situation = GuardSituation(
        NOW, enabled, risk, targets=targets, attempts=attempts, allowed=allowed, external=True, named=False
    )
    assert guards.judge(wanted, settings, situation).mode is Mode.OFF


async def test_only_the_configuration_allows_an_action_and_only_what_it_names() -> None:
    debug = Step.model_validate({"step": "one", "do": "log.debug", "with": {"minutes": 5}})
    isolate = Step.model_validate({"step": "two", "do": "security.isolate"})
    mapped = {"scenarios": {"Ext": "security-alert"}, "allowedActions": ["log.debug"]}
    facts, external = KnownFacts({}), an_execution("webhook")

    async def mode(step: Step, **intake: Any) -> Mode:
        executor = an_executor(**intake)
        action: Any = SimpleNamespace(risk=REGISTRY[step.action].risk)
        return (await executor._judge(external, step, action, None, 0)).mode

    assert await mode(debug, **mapped) is Mode.AUTO
    assert await mode(isolate, **mapped) is Mode.OFF
    assert await mode(debug, allowedActions=["log.debug"]) is Mode.OFF
    assert (await an_executor().decide(external, isolate, facts, 0)).guard == "external-alert"
    settings = IntakeSettings.model_validate(mapped)
    incident = incident_of(WEBHOOK, {"name": "Ext", "severity": "critical"}, settings)
    assert (incident.scenario, incident.severity) == (Scenario.SECURITY_ALERT, Severity.P0)
    assert incident.key.startswith("external:")


def test_links_are_plain_web_addresses_with_the_runbook_first() -> None:
    body = {
        "version": "4",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "HighLatency"},
                "annotations": {"dashboard_url": "https://g/d/1", "runbook_url": "https://wiki/latency"},
                "generatorURL": "http://prometheus/graph?g0.expr=1",
                "panelURL": "javascript:alert(1)",
                "dashboardURL": "https://g/d/\u202e1",
            }
        ],
    }
    found = [(link.name, link.url) for link in incident_of(ALERTMANAGER, body).links]
    assert found == [
        ("runbook", "https://wiki/latency"),
        ("dashboard", "https://g/d/1"),
        ("source", "http://prometheus/graph?g0.expr=1"),
    ]


def test_the_configuration_knows_every_shipped_action_that_changes_something() -> None:
    shipped = {name for name in CHANGING if REGISTRY[name].__module__.startswith("orchestration.playbooks.actions")}
    assert shipped == KNOWN_ACTIONS

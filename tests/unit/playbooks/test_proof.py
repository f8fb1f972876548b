"""A verification counts only if it observes what was reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.config.checks.alerting import KNOWN_RULES
from orchestration.domain.playbook_state import PlaybookRunState
from orchestration.domain.scenario import Scenario
from orchestration.domain.subject_kind import SubjectKind
from orchestration.playbooks import proof
from orchestration.playbooks.actions.registry import complete
from orchestration.playbooks.catalogue import PlaybookCatalogue, PlaybookEntry, warnings
from orchestration.playbooks.document import parse
from orchestration.playbooks.model import Playbook
from tests.unit.playbooks.test_runner import TEXT, WELL, played

CATALOGUE = PlaybookCatalogue(Path("nowhere"))
FIND = complete().get
# The subjects of built-in alerts that no action can observe: their incidents are handed over.
UNOBSERVED = {
    SubjectKind.EVENT_LOOP,
    SubjectKind.LOOPS,
    SubjectKind.SCHEDULES,
    SubjectKind.LOG,
    SubjectKind.SIGN_INS,
    SubjectKind.TOOL_USE,
}


def shipped(name: str) -> Playbook:
    return CATALOGUE.get(name).playbook


def a_playbook(verify: str, scenario: str = "agent-failure") -> Playbook:
    text = f"playbook: mine\ntitle: Mine\nscenario: {scenario}\nabout: A test.\n{verify}"
    return parse(text, "mine.yaml")


def a_verification(action: str, holds: str) -> str:
    return f"verify:\n  steps: [{{ step: after, do: {action} }}]\n  holds: {holds}\n"


def test_the_subject_of_every_built_in_alert_is_known() -> None:
    assert {rule for rules in proof._RULES.values() for rule in rules} == KNOWN_RULES
    assert set(proof._RULES) == set(Scenario)


def test_no_shipped_playbook_claims_a_proof_that_it_has_not() -> None:
    assert CATALOGUE.warnings == []
    proven = {kind for entry in CATALOGUE.all() for kind in proof.proven_subjects(entry.playbook, FIND)}
    subjects = {kind for rules in proof._RULES.values() for kind in rules.values()}
    assert subjects - proven == UNOBSERVED


@pytest.mark.parametrize(
    ("verify", "is_proof"),
    [
        (a_verification("evidence.runs", "{ after.failed: 0 }"), True),
        (a_verification("database.check", "{ after.reachable: true }"), False),
        # It looks at the runs, but what it found is not asked for.
        (a_verification("evidence.runs", "{ incident.severity: P2 }"), False),
        ("", True),
    ],
)
def test_a_check_of_something_else_is_found(verify: str, is_proof: bool) -> None:
    playbook = a_playbook(verify)
    assert (proof.finding(playbook, FIND) == "") is is_proof
    assert (warnings(PlaybookEntry(playbook, "mine.yaml", own=True)) == ()) is is_proof


@pytest.mark.parametrize(
    ("name", "rule", "proves"),
    [
        ("security-alert", "secret-exposed", True),
        ("security-alert", "secret-suspected", True),
        ("security-alert", "sign-ins-failed", False),
        ("security-alert", "vulnerability", True),
        ("high-resource-usage", "disk-low", True),
        ("high-resource-usage", "unresponsive", False),
        ("provider-unavailable", "provider-down", True),
        ("control-plane", "loop-late", False),
        ("database-down", "database-damaged", True),
        ("agent-failure", "a-rule-of-ours", True),
        ("external-alert", "HighLatency", False),
    ],
)
def test_what_an_incident_is_about_decides(name: str, rule: str, proves: bool) -> None:
    facts = {"incident.label.alertname": rule}
    assert proof.proves_subject(shipped(name), facts, FIND) is proves


async def test_without_a_proof_a_response_hands_over_although_its_check_holds() -> None:
    response = await played(WELL, facts={"playbook.proves_subject": False})
    assert response.updates.closed[0] == PlaybookRunState.HANDED_OVER.value
    assert "resolve" not in response.updates.received
    assert "hand_over" in response.updates.received


@pytest.mark.parametrize(("repaired", "complete"), [(True, True), (False, False)])
async def test_a_workaround_is_not_taken_for_a_repair(repaired: bool, complete: bool) -> None:
    text = TEXT.replace("  within: 300", "  proof: { holds: { after.repaired: true } }\n  within: 300")
    found: dict[str, Any] = {**WELL, "repaired": repaired}
    response = await played(found, text=text)
    assert response.updates.closed[0] == PlaybookRunState.HELPED.value
    assert response.updates.values["resolve"] == {"complete": complete}

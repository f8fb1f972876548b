"""What is known, what it points to, and how it is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestration.playbooks import cacao, hypotheses, runbook
from orchestration.playbooks.document import parse
from orchestration.playbooks.facts import KnownFacts, UnknownFactError
from orchestration.playbooks.model import Hypothesis

TEXT = """\
playbook: sample
title: A sample
scenario: agent-failure
about: For the tests.
symptoms: [it fails]
identify:
  - step: look
    do: evidence.runs
    why: See which runs failed.
    by_hand: ["orchestrator runs list"]
mitigate:
  - option: again
    says: Begin again
    when: { look.failed: { above: 0 } }
    steps:
      - { step: restart, do: run.restart, why: Begin again., mode: ask, when: { look.up: true } }
verify:
  holds: { look.failed: 0 }
  within: 10
escalate:
  - { when: { look.failed: { above: 9 } }, level: 2, reason: too many }
"""


def test_later_findings_replace_earlier_ones() -> None:
    facts = KnownFacts({"incident.runs": ["a"]})
    facts.learn("look", {"failed": 1})
    facts.learn("look", {"failed": 2})
    assert facts["look.failed"] == 2


def test_references_are_replaced_wherever_they_stand() -> None:
    facts = KnownFacts({"incident.runs": ["a"], "look.name": "x"})
    assert facts.resolve({"runs": "$incident.runs", "deep": [{"name": "$look.name"}, "plain"]}) == {
        "runs": ["a"],
        "deep": [{"name": "x"}, "plain"],
    }


def test_an_unknown_reference_is_refused_and_never_becomes_everything() -> None:
    with pytest.raises(UnknownFactError, match=r"look\.down"):
        KnownFacts({}).resolve({"providers": "$look.down"})


def test_causes_are_ranked_by_weight_with_their_evidence() -> None:
    listed = [
        Hypothesis(hypothesis="weak", says="weak", when={"a": 1}, weight=10),
        Hypothesis(hypothesis="strong", says="strong", when={"a": 1}, weight=90, evidence=("b",), points_to="again"),
        Hypothesis(hypothesis="not-so", says="not so", when={"a": 2}, weight=99),
    ]
    ranked = hypotheses.rank(listed, {"a": 1, "b": "seen"})
    assert [one.id for one in ranked] == ["strong", "weak"]
    assert ranked[0].evidence == {"a": 1, "b": "seen"}


def test_where_no_cause_fits_that_is_said_too() -> None:
    [only] = hypotheses.rank([], {})
    assert only.id == "unknown"


def test_the_runbook_has_the_phases_the_commands_and_the_limits() -> None:
    text = runbook.runbook(parse(TEXT, "sample.yaml"), level=3)
    assert text.startswith("### A sample\n")
    for expected in (
        "**Symptoms:**",
        "1. **Identify**:",
        "   orchestrator runs list",
        "2. **Mitigate**:",
        "**Begin again**, when look.failed is above 0",
        "after a person's approval",
        "3. **Verify**:",
        "look.failed is 0",
        "to level 2 when look.failed is above 9: too many",
        "at most 3 attempts at one incident",
    ):
        assert expected in text, text


def test_the_cacao_document_is_a_chain_from_start_to_end() -> None:
    playbook = parse(TEXT, "sample.yaml")
    document = cacao.export(playbook, datetime(2026, 11, 25, tzinfo=UTC))
    assert document["spec_version"] == "cacao-2.0"
    workflow = document["workflow"]
    names, at = [], document["workflow_start"]
    while workflow[at]["type"] != "end":
        step = workflow[at]
        names.append(step.get("name", step["type"]))
        at = step.get("on_completion") or step["on_true"]
    assert names == ["start", "identify: look", "if-condition", "mitigate: restart"]
    assert all(
        reference in workflow for step in workflow.values() for key, reference in step.items() if key.startswith("on_")
    )
    assert document == cacao.export(playbook, datetime(2026, 11, 25, tzinfo=UTC))

"""What the shipped playbooks conclude from what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.playbooks import conditions, hypotheses
from orchestration.playbooks.catalogue import PlaybookCatalogue

PLAYBOOKS = {one.playbook.name: one.playbook for one in PlaybookCatalogue(Path("none")).all()}


@pytest.mark.parametrize(
    ("classes", "blamed"),
    [(["provider"], True), (["time-limit"], True), ([], True), (["unusable-answer"], False), (["own-code"], False)],
)
def test_a_provider_that_is_down_is_blamed_only_for_what_it_explains(classes: list[str], blamed: bool) -> None:
    facts = {"probe.down": ["second"], "runs.classes": classes, "runs.failed": 1}
    causes = [one.id for one in hypotheses.rank(PLAYBOOKS["agent-failure"].hypotheses, facts)]
    assert ("provider-down" in causes) is blamed


@pytest.mark.parametrize("name", ["agent-failure", "workflow-stuck"])
def test_no_run_at_all_proves_nothing(name: str) -> None:
    verify = PLAYBOOKS[name].verify
    assert verify is not None
    good: dict[str, Any] = {"after.failed": 0, "after.unfinished": 0, "after.stalled": 0}
    assert conditions.holds(verify.holds, {**good, "after.count": 1})
    assert not conditions.holds(verify.holds, {**good, "after.count": 0})


@pytest.mark.parametrize(
    ("alert", "progressing", "cause", "fitting"),
    [
        ("run-stalled", True, "passing-fault", []),
        ("run-overdue", True, "slow-but-working", ["more-time"]),
        ("run-stalled", False, "hanging-tool", ["restart-worker"]),
        ("run-overdue", False, "hanging-tool", ["restart-worker"]),
    ],
)
def test_time_was_too_short_only_for_work_that_never_stood_still(
    alert: str, progressing: bool, cause: str, fitting: list[str]
) -> None:
    playbook = PLAYBOOKS["workflow-stuck"]
    activity = {"runs.activity": "tool"} if not progressing else {}
    facts = {"incident.label.alertname": alert, "runs.progressing": progressing, **activity}
    assert hypotheses.rank(playbook.hypotheses, facts)[0].id == cause
    assert [one.id for one in playbook.mitigate if conditions.holds(one.when, facts)] == fitting


@pytest.mark.parametrize(
    ("installed", "usable", "cause", "starts", "escalates"),
    [
        (True, [], "ollama-stopped", True, []),
        (False, [], "ollama-missing", False, [2]),
        (False, ["other"], "ollama-missing", False, []),
    ],
)
def test_an_ollama_that_is_not_installed_is_not_to_be_started(
    installed: bool, usable: list[str], cause: str, starts: bool, escalates: list[int]
) -> None:
    playbook = PLAYBOOKS["provider-unavailable"]
    facts = {
        "probe.down": ["ollama"], "probe.outcomes": ["unreachable"], "probe.local_ollama_down": True,
        "probe.ollama_installed": installed, "chain.usable": usable,
    }  # fmt: skip
    assert hypotheses.rank(playbook.hypotheses, facts)[0].id == cause
    assert ("start-ollama" in [one.id for one in playbook.mitigate if conditions.holds(one.when, facts)]) is starts
    assert [one.level for one in playbook.escalate if conditions.holds(one.when, facts)] == escalates


@pytest.mark.parametrize(
    ("disk", "ours", "fitting"),
    [
        (True, False, ["clear-away"]),
        (True, True, ["clear-away", "less-at-once"]),
        (False, True, ["less-at-once"]),
        (False, False, []),
    ],
)
def test_fewer_calls_are_no_remedy_for_a_full_disk_nor_for_a_neighbour(
    disk: bool, ours: bool, fitting: list[str]
) -> None:
    playbook = PLAYBOOKS["high-resource-usage"]
    facts = {
        "machine.disk_short": disk, "machine.mostly_ours": ours, "load.expected": True,
        "load.growing": [], "load.growing_workers": [], "load.runaway": [], "settings.changed": False,
    }  # fmt: skip
    assert [one.id for one in playbook.mitigate if conditions.holds(one.when, facts)] == fitting
    causes = [one.id for one in hypotheses.rank(playbook.hypotheses, facts)]
    # The second look alone proves nothing: the neighbour may have ended before it.
    assert ("expected-load" in causes, "others" in causes) == (ours, not ours)

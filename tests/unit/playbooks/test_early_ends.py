"""Verification ends as soon as it is plain that nothing has helped: waiting would only keep a person from knowing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.playbooks import conditions
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.facts import KnownFacts

WELL_OR_BROKEN: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # Playbook, step, findings when it is well, when it may still come, and when it surely will not.
    (
        "agent-failure",
        "after",
        {"count": 1, "failed": 0, "unfinished": 0},
        {"count": 1, "failed": 0, "unfinished": 1},
        {"count": 1, "failed": 1, "unfinished": 0},
    ),
    (
        "workflow-stuck",
        "after",
        {"count": 1, "stalled": 0, "failed": 0},
        {"count": 1, "stalled": 1, "failed": 0},
        {"count": 1, "stalled": 0, "failed": 1},
    ),
    (
        "high-resource-usage",
        "now",
        {"short": False, "disk_short": False},
        {"short": True, "disk_short": False},
        {"short": True, "disk_short": True},
    ),
    ("security-alert", "still", {"new": 0, "secrets": 0}, {"new": 1, "secrets": 0}, {"new": 1, "secrets": 1}),
    (
        "database-down",
        "after",
        {"reachable": True, "intact": True},
        {"reachable": False, "intact": True},
        {"reachable": True, "intact": False},
    ),
]


@pytest.mark.parametrize(("name", "step", "well", "perhaps", "broken"), WELL_OR_BROKEN, ids=lambda part: str(part)[:20])
def test_what_surely_stays_broken_is_told_from_what_may_still_mend(
    name: str, step: str, well: dict[str, Any], perhaps: dict[str, Any], broken: dict[str, Any]
) -> None:
    verify = PlaybookCatalogue(Path("nowhere")).get(name).playbook.verify
    assert verify is not None
    assert verify.fails
    for findings, holds, fails in ((well, True, False), (perhaps, False, False), (broken, False, True)):
        facts = KnownFacts({})
        facts.learn(step, findings)
        assert conditions.holds(verify.holds, facts) is holds
        assert conditions.holds(verify.fails, facts) is fails

"""Every option of every playbook is the one that has to help in a drill."""

from __future__ import annotations

from orchestration.drills.catalogue import SHIPPED
from orchestration.drills.coverage import covered_by, named, options_of
from orchestration.drills.observer import shipped_playbooks

# No drill carries these out; the reasons are in `docs/explanation/drills.md` as well.
UNREACHED = {
    # Not rehearsed yet: it needs a history with a culprit, and a person who merges the branch.
    "agent-failure/revert-change",
    # Not rehearsed yet: it needs a model whose answers cannot be used beside one whose can.
    "agent-failure/other-model",
    # A leak is known after ten minutes of growth, which is no drill any more.
    "high-resource-usage/replace-worker",
    # No wait of one run for another is recorded, so no circle of them can be found.
    "workflow-stuck/cancel-and-restart",
    # The supervisor replaces a worker that hangs by itself, before an alert about it may fire.
    "control-plane/replace",
}


def test_every_option_is_demanded_by_a_drill_except_those_that_are_named_here() -> None:
    options = options_of(shipped_playbooks())
    demanded = covered_by(SHIPPED)
    assert {named(option) for option in options if option not in demanded} == UNREACHED


def test_no_drill_demands_an_option_that_its_playbooks_do_not_have() -> None:
    options = {*options_of(shipped_playbooks())}
    known = {option for _, option in options}
    assert {named(option) for option in covered_by(SHIPPED) if option[1] in known} <= {named(one) for one in options}

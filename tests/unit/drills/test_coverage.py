"""Every option of every playbook is the one that has to help in a drill."""

from __future__ import annotations

from orchestration.drills.catalogue import SHIPPED
from orchestration.drills.coverage import covered_by, named, options_of
from orchestration.drills.observer import shipped_playbooks


def test_every_option_is_demanded_by_a_drill() -> None:
    options = options_of(shipped_playbooks())
    demanded = covered_by(SHIPPED)
    assert {named(option) for option in options if option not in demanded} == set()


def test_no_drill_demands_an_option_that_its_playbooks_do_not_have() -> None:
    options = {*options_of(shipped_playbooks())}
    known = {option for _, option in options}
    assert {named(option) for option in covered_by(SHIPPED) if option[1] in known} <= {named(one) for one in options}

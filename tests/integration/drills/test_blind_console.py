"""The options of `drill` about blind drills, where none is run."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from orchestration.cli import cli
from orchestration.drills.blind.plan import draw_plans
from orchestration.errors import UsageError


def output(*arguments: str) -> str:
    return CliRunner().invoke(cli, ["drill", *arguments], catch_exceptions=False, standalone_mode=False).output


def test_the_plan_of_a_seed_is_printed_with_the_truth_about_each_fault() -> None:
    lines = output("--blind", "10", "--seed", "7", "--plan").splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(number) for number in range(1, 11)]
    assert sum(line.endswith(": no fault") for line in lines) == 2
    known = json.loads(output("--blind", "10", "--seed", "7", "--plan", "--json"))
    assert [len(one["faults"]) for one in known] == [len(plan.faults) for plan in draw_plans(7, 10)]
    assert all(fault["truth"].keys() >= {"causes", "levels", "permits"} for one in known for fault in one["faults"])
    assert len(json.loads(output("--blind-only", "9", "--seed", "7", "--plan", "--json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--plan",), "Add --blind N"),
        (("--blind", "5", "--all"), "Leave out --all"),
        (("--blind", "5", "provider-killed"), "Leave out --all"),
        (("--blind", "5", "--threshold", "speed=1"), "expected one of the thresholds"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        output(*arguments)

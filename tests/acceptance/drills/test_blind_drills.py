"""A few blind drills, run as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.cli import cli
from orchestration.drills.blind.plan import draw_plan

# A plan without a fault, and one whose fault is over at once: both are quick, and neither may be answered wrongly.
_SEED = 1


def _numbers() -> tuple[int, int]:
    plans = [draw_plan(_SEED, number) for number in range(1, 200)]
    quiet = next(plan.number for plan in plans if not plan.faults)
    killed = next(plan.number for plan in plans if [one.primitive.name for one in plan.faults] == ["worker-killed"])
    return quiet, killed


@pytest.mark.slow
def test_blind_drills_are_judged_against_a_run_without_a_fault(tmp_path: Path) -> None:
    config = tmp_path / "config" / "agents.config.json"
    config.parent.mkdir()
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal"}}
    config.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
    only = [word for number in _numbers() for word in ("--blind-only", str(number))]
    command = ["--config", str(config), "drill", "--seed", str(_SEED), *only, "--json"]
    ended = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    found = json.loads(ended.stdout)
    assert [drill["misses"] for drill in found["drills"]] == [[], []]
    assert [drill["work"] for drill in found["drills"]] == ["succeeded", "succeeded"]
    assert (found["rates"]["drills"], found["rates"]["quiet"], found["shortfalls"]) == (2, 1, [])
    assert ended.return_value == 0

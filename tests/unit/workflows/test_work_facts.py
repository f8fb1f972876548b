from __future__ import annotations

import pytest

from orchestration.agents.evidence import Evidence
from orchestration.config.agents import AgentRole
from orchestration.workflows.model import AgentTask, CommandRecord, PlanStep, RunPlan, WorkFacts
from orchestration.workflows.work_facts import WHOLE_GOAL, RunFacts, changed_files, facts_section, proof_of

STEP = PlanStep(
    id="s1", title="t", instructions="i", files=("a.py",), done_when="`python3 -m unittest tests.test_a` passes."
)
PLAN = RunPlan(summary="s", steps=(STEP,))
PATCH = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-1\n+2\n"
TEST = ("python3", "-m", "unittest", "tests.test_a")


def ran(code: int | None, command: tuple[str, ...] = TEST) -> CommandRecord:
    return CommandRecord(command=command, exit_code=code, output="")


@pytest.mark.parametrize(
    ("facts", "objections"),
    [
        (RunFacts(PLAN, PATCH), 0),
        (RunFacts(PLAN, " \n"), 1),
        (RunFacts(PLAN.model_copy(update={"steps": (STEP.model_copy(update={"files": ()}),)}), ""), 0),
        (RunFacts(PLAN, PATCH, (ran(1), ran(0))), 0),
        (RunFacts(PLAN, PATCH, (ran(0), ran(1))), 1),
        (RunFacts(PLAN, PATCH, (ran(None),)), 1),
        (RunFacts(PLAN, "", (ran(1),)), 2),
        # Not what the plan names as proof.
        (RunFacts(PLAN, PATCH, (ran(1, ("grep", "-r", "x")),)), 0),
        (RunFacts(PLAN, PATCH, (ran(1, ("python3", "-m", "unittest")), ran(0))), 0),
        # Without a plan: a change, an express word that none was needed, or the run's own checks.
        (RunFacts(None, "", tools=WorkFacts(calls=1)), 1),
        (RunFacts(None, "", (ran(0),), WorkFacts(calls=1)), 1),
        (RunFacts(None, PATCH, tools=WorkFacts(calls=1)), 0),
        (RunFacts(None, "", tools=WorkFacts(calls=1), unneeded=True), 0),
        (RunFacts(None, "", tools=WorkFacts(calls=1, failed=1), unneeded=True), 1),
        (RunFacts(None, "", tools=WorkFacts(calls=1), checked=True), 0),
        # The user's own code answers for itself.
        (RunFacts(None, ""), 0),
    ],
)
def test_claims_are_held_against_what_happened(facts: RunFacts, objections: int) -> None:
    assert len(facts.objections) == objections
    assert facts_section(facts).count("CONTRADICTION") == objections


@pytest.mark.parametrize("command", [TEST, ("bash", "-lc", " ".join(TEST)), ("/bin/sh", "-c", " ".join(TEST))])
def test_the_command_that_proves_a_step_is_found_in_its_plan(command: tuple[str, ...]) -> None:
    record = ran(1, command)
    assert proof_of(STEP, [record]) == record
    assert proof_of(None, [record]) is None
    assert proof_of(STEP.model_copy(update={"done_when": "it works"}), [record]) is None


def test_the_section_says_what_did_not_happen() -> None:
    text = facts_section(RunFacts(PLAN, "", fresh=False))
    assert "Nothing was changed" in text
    assert "No command was run" in text
    assert "changed nothing" in text
    assert "a.py" in facts_section(RunFacts(PLAN, PATCH))
    assert changed_files(PATCH) == ("a.py",)


def evidence(*calls: tuple[bool, bool, CommandRecord | None]) -> Evidence:
    found = Evidence()
    for ok, reads_only, command in calls:
        found.add(ok=ok, reads_only=reads_only, command=command)
    return found


GOAL = PlanStep(id=WHOLE_GOAL, title="t", instructions="i")
READ, WRITTEN, REFUSED = (True, True, None), (True, False, None), (False, False, None)


@pytest.mark.parametrize(
    ("calls", "step", "said"),
    [
        ((), STEP, "changed nothing in a.py"),
        ((READ, REFUSED), STEP, "changed nothing in a.py"),
        ((WRITTEN,), STEP, ""),
        ((WRITTEN, (False, False, ran(1))), STEP, "exit code 1"),
        ((WRITTEN, (False, False, ran(1)), (True, False, ran(0))), STEP, ""),
        ((), None, "used no tool"),
        ((REFUSED,), None, "used no tool"),
        ((READ,), None, ""),
        ((READ,), GOAL, "nothing_to_change"),
        ((READ, (True, False, ran(0))), GOAL, "nothing_to_change"),
        ((WRITTEN,), GOAL, ""),
    ],
)
def test_a_report_is_held_against_the_tool_calls(
    calls: tuple[tuple[bool, bool, CommandRecord | None], ...], step: PlanStep | None, said: str
) -> None:
    task = AgentTask(run_id="r", agent="a", role=AgentRole.EXECUTOR, goal="g", step=step)
    objection = evidence(*calls).objection(task)
    assert said in objection
    assert bool(said) == bool(objection)


def test_who_says_expressly_that_nothing_had_to_be_changed_must_have_looked() -> None:
    task = AgentTask(run_id="r", agent="a", role=AgentRole.EXECUTOR, goal="g", step=GOAL)
    assert evidence(READ).objection(task, unneeded=True) == ""
    assert "used no tool" in evidence(REFUSED).objection(task, unneeded=True)

"""The sample goal, move by move, without a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.rehearsal import samples
from orchestration.rehearsal.conversation import PastToolCall, RehearsalReply, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.scenes import answer
from orchestration.rehearsal.scenes.scene import tests_pass as green

TOOLS = frozenset({"list_files", "read_file", "write_file", "replace_in_file", "search_files", "run_command"})
GREEN = "exit code 0\n...\nRan 3 tests in 0.001s\n\nOK\n"
RED = "exit code 1\nFAIL: test_it\nRan 3 tests in 0.001s\n\nFAILED (failures=1)\n"
RUN_MONEY = RehearsalToolCall("run_command", {"command": ["python3", "-m", "unittest", "tests.test_money"]})
DIFF = "--- a/tallybook/money.py\n+++ b/tallybook/money.py\n@@ -7 +7 @@\n-    old\n+    new\n"


def executor(step: str, *turns: PastToolCall) -> RehearsalReply:
    return answer(RehearsalRequest("executor", f"{samples.GOAL}\nStep: {step}", turns, TOOLS))


def rounding(*turns: PastToolCall) -> RehearsalReply:
    return executor("Round percentages half up (tallybook/money.py)", *turns)


def reviewer(text: str) -> Any:
    return said(answer(RehearsalRequest("reviewer", f"{samples.GOAL}\n{text}")))


def said(reply: RehearsalReply) -> Any:
    assert not reply.calls
    return json.loads(reply.text)


def money_file() -> str:
    return (samples._SOURCE / "tallybook/money.py").read_text()


READ_MONEY = PastToolCall(RehearsalToolCall("read_file", {"path": "tallybook/money.py"}), money_file())


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (GREEN, True),
        (RED, False),
        (RED + GREEN, True),
        (GREEN + RED, False),
        (json.dumps({"output": GREEN}), True),
        (json.dumps({"output": RED}), False),
        ("exit status: 0", True),
        ("exit code=3", False),
        ('{"exit_code": 0}', True),
        ("exited with code 0", True),
        ("exit code -9", False),
        ("everything is OK", False),
        ("", False),
    ],
)
def test_the_last_test_run_in_a_text_decides(text: str, verdict: bool) -> None:
    assert green(text) is verdict


def test_the_plan_has_two_independent_repairs_and_a_step_that_needs_both() -> None:
    looked = (
        PastToolCall(RehearsalToolCall("list_files", {"path": "."}), "docs/backlog.md tallybook/money.py"),
        PastToolCall(RehearsalToolCall("read_file", {"path": "docs/backlog.md"}), "# Backlog"),
    )
    plan = said(answer(RehearsalRequest("planner", samples.GOAL, looked, TOOLS)))
    assert plan["summary"].startswith("[rehearsal]")
    assert [(step["id"], step["depends_on"]) for step in plan["steps"]] == [
        ("s1", []),
        ("s2", []),
        ("s3", ["s1", "s2"]),
    ]
    assert set(plan["steps"][0]["files"]).isdisjoint(plan["steps"][1]["files"])


def test_the_executor_looks_at_the_failing_tests_first() -> None:
    assert rounding().calls == (RUN_MONEY,)


def test_tests_that_pass_already_need_no_repair() -> None:
    assert said(rounding(PastToolCall(RUN_MONEY, GREEN)))["done"] is True


def test_after_a_failure_it_reads_the_source_and_the_test() -> None:
    calls = rounding(PastToolCall(RUN_MONEY, RED)).calls
    assert [call.arguments["path"] for call in calls] == ["tallybook/money.py", "tests/test_money.py"]


def test_it_repairs_line_by_line_and_then_tests_again() -> None:
    turns = [PastToolCall(RUN_MONEY, RED), READ_MONEY]
    names = []
    while (call := rounding(*turns).calls[0]) != RUN_MONEY:
        names.append(call.name)
        turns.append(PastToolCall(call, "1 line replaced"))
    assert names == ["replace_in_file", "replace_in_file"]
    assert said(rounding(*turns, PastToolCall(RUN_MONEY, GREEN)))["done"] is True
    assert said(rounding(*turns, PastToolCall(RUN_MONEY, RED)))["done"] is False


def test_a_source_that_it_does_not_know_is_left_alone_and_not_called_done() -> None:
    foreign = PastToolCall(RehearsalToolCall("read_file", {"path": "tallybook/money.py"}), "def percentage(): ...")
    turns = (PastToolCall(RUN_MONEY, RED), foreign)
    assert rounding(*turns).calls == (RUN_MONEY,)
    assert said(rounding(*turns, PastToolCall(RUN_MONEY, RED)))["done"] is False


def test_findings_about_credit_notes_become_a_new_test_file() -> None:
    step = "Findings of the review: " + reviewer(DIFF + GREEN)["findings"][0]["message"]
    read = executor(step)
    assert [call.name for call in read.calls] == ["read_file"]
    write = executor(step, PastToolCall(read.calls[0], "import unittest"))
    assert write.calls[0].arguments["path"] == "tests/test_credit_notes.py"
    run = executor(step, PastToolCall(read.calls[0], "import unittest"), PastToolCall(write.calls[0], "written"))
    assert run.calls == (RehearsalToolCall("run_command", {"command": ["python3", "-m", "unittest"]}),)


def test_a_later_step_that_names_the_earlier_ones_is_still_the_later_one() -> None:
    step = "Run all tests and note the repairs\nDone before: Round percentages half up"
    assert executor(step).calls == (RehearsalToolCall("read_file", {"path": "CHANGELOG.md"}),)


def test_an_executor_without_a_plan_takes_the_whole_backlog() -> None:
    whole = RehearsalToolCall("run_command", {"command": ["python3", "-m", "unittest"]})
    assert executor("").calls == (whole,)
    reads = executor("", PastToolCall(whole, RED)).calls
    assert {call.arguments["path"] for call in reads} >= {"tallybook/money.py", "tallybook/terms.py", "CHANGELOG.md"}


def test_the_reviewer_asks_for_changes_when_nothing_was_changed() -> None:
    review = reviewer(GREEN)
    assert (review["verdict"], review["findings"][0]["severity"]) == ("changes_requested", "blocker")


def test_the_reviewer_asks_for_changes_while_tests_fail() -> None:
    review = reviewer(DIFF + RED)
    assert (review["verdict"], review["findings"][0]["severity"]) == ("changes_requested", "blocker")


def test_the_reviewer_misses_a_test_in_the_first_round_and_not_in_the_second() -> None:
    first = reviewer(DIFF + GREEN)
    assert (first["verdict"], first["findings"][0]["severity"]) == ("changes_requested", "major")
    assert "tests/test_credit_notes.py" in first["findings"][0]["message"]
    second = reviewer(DIFF + "+++ b/tests/test_credit_notes.py\n+class CreditNote(unittest.TestCase):\n" + GREEN)
    assert (second["verdict"], second["findings"]) == ("approved", [])


def test_a_reminder_of_the_finding_is_not_taken_for_the_test() -> None:
    text = "Asked for before: add tests/test_credit_notes.py\n" + DIFF + GREEN
    assert reviewer(text)["verdict"] == "changes_requested"


def test_a_call_that_was_damaged_on_the_way_is_made_again() -> None:
    damaged = PastToolCall(RehearsalToolCall("read_file"), "the arguments could not be read")
    ran = PastToolCall(RUN_MONEY, RED)
    for turns in ((damaged,), (ran, damaged), (ran, READ_MONEY, damaged)):
        assert rounding(*turns) == rounding(*(turn for turn in turns if turn is not damaged))

"""Goals that the rehearsal model does not know: it does next to nothing, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.errors import UsageError
from orchestration.rehearsal.conversation import PastToolCall, RehearsalReply, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.scenes import answer

GOAL = "Goal: port the parser to Rust."
READ_TOOLS = frozenset({"list_files", "read_file", "search_files"})


def said(reply: RehearsalReply) -> Any:
    assert not reply.calls
    return json.loads(reply.text)


def test_the_planner_looks_at_the_files_before_it_plans() -> None:
    listed = PastToolCall(RehearsalToolCall("list_files", {"path": "."}), "README.md\nsrc/parser.py")
    read = PastToolCall(RehearsalToolCall("read_file", {"path": "README.md"}), "# Parser")
    moves = [answer(RehearsalRequest("planner", GOAL, turns, READ_TOOLS)) for turns in ((), (listed,), (listed, read))]
    assert moves[0].calls == (listed.call,)
    assert moves[1].calls == (read.call,)
    assert said(moves[2])["summary"].startswith("[rehearsal]")


def test_the_plan_for_an_unknown_goal_is_one_step_that_only_notes() -> None:
    plan = said(answer(RehearsalRequest("planner", GOAL)))
    assert [(step["title"], step["files"]) for step in plan["steps"]] == [("Inspect and note", ["REHEARSAL_NOTES.md"])]


def test_a_planner_that_finds_no_document_plans_at_once() -> None:
    listed = PastToolCall(RehearsalToolCall("list_files", {"path": "."}), "src/parser.py")
    assert said(answer(RehearsalRequest("planner", GOAL, (listed,), READ_TOOLS)))["steps"]


def test_the_executor_writes_one_note_and_nothing_else() -> None:
    tools = READ_TOOLS | {"write_file", "replace_in_file", "run_command"}
    asked = GOAL + "\nStep: Inspect and note. Write REHEARSAL_NOTES.md."
    turns: tuple[PastToolCall, ...] = ()
    while (reply := answer(RehearsalRequest("executor", asked, turns, tools))).calls:
        turns += tuple(PastToolCall(call, "fine") for call in reply.calls)
    assert [past.call.name for past in turns] == ["list_files", "write_file"]
    assert turns[1].call.arguments["path"] == "REHEARSAL_NOTES.md"
    assert "[rehearsal]" in turns[1].call.arguments["content"]
    assert said(reply)["done"] is True


def test_the_executor_does_not_claim_to_have_done_more_than_the_note() -> None:
    assert said(answer(RehearsalRequest("executor", GOAL)))["done"] is False


def test_the_reviewer_of_an_unknown_goal_says_that_nobody_has_looked() -> None:
    review = said(answer(RehearsalRequest("reviewer", GOAL)))
    assert review["verdict"] == "approved"
    assert [finding["severity"] for finding in review["findings"]] == ["note"]
    assert "rehearsal" in review["findings"][0]["message"]


def test_a_worker_gets_a_labelled_text() -> None:
    assert answer(RehearsalRequest("worker", "Hello")).text.startswith("[rehearsal]")


def test_a_worker_that_wants_a_schema_gets_what_matches_it() -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    assert said(answer(RehearsalRequest("worker", "Count", schema=schema))) == {"count": 0}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/Missing"},
        {"enum": []},
        {"anyOf": "x"},
        {"type": "array", "minItems": "two"},
        {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
    ],
)
def test_a_broken_schema_is_refused(schema: dict) -> None:
    with pytest.raises(UsageError, match="JSON schema"):
        answer(RehearsalRequest("worker", "Count", schema=schema))


@pytest.mark.parametrize("role", ["planner", "executor", "reviewer", "worker"])
def test_the_same_conversation_always_gets_the_same_answer(role: str) -> None:
    conversation = RehearsalRequest(role, GOAL, (), READ_TOOLS)
    assert answer(conversation) == answer(conversation)

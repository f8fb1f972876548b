"""A model that makes no mistake on one small task, so that whatever goes wrong is the slip's doing.

It is stateless: what to do next follows from the request and from the files as they are, as it would for a model that
reads its conversation. So it goes on sensibly after any correction, in any protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.slips.wire import Body, Reply, ToolCall, with_ids

GOAL = "Repair total() in prices.py: tests/test_prices.py fails. Change nothing else."
TEXT_GOAL = "Report on prices.py."
BROKEN = "def total(prices):\n    return sum(prices) - 1\n"
REPAIRED = "def total(prices):\n    return sum(prices)\n"
TEST = (
    "import unittest\n\nfrom prices import total\n\n\nclass Totals(unittest.TestCase):\n"
    "    def test_total(self):\n        self.assertEqual(total([2, 3]), 5)\n"
)
OLD, NEW = "    return sum(prices) - 1\n", "    return sum(prices)\n"
TEST_COMMAND = ["python3", "-m", "unittest", "tests.test_prices"]
PLAN: dict[str, Any] = {
    "summary": "One line of total() is wrong.",
    "steps": [
        {
            "id": "s1",
            "title": "Repair total()",
            "instructions": "Return the plain sum in prices.py.",
            "files": ["prices.py"],
            "depends_on": [],
            "done_when": "python3 -m unittest tests.test_prices passes",
        }
    ],
    "risks": [],
}
REPORT: dict[str, Any] = {"summary": "total() returns the sum; the test passes.", "done": True, "notes": []}
APPROVED: dict[str, Any] = {"verdict": "approved", "summary": "The change is right and tested.", "findings": []}
REJECTED: dict[str, Any] = {
    "verdict": "changes_requested",
    "summary": "The test still fails.",
    "findings": [{"severity": "blocker", "message": "total() is still wrong.", "file": "prices.py", "line": 2}],
}
# The value that is looked for, after the last of this key, with what it means, and what anything else means.
_CONVERSIONS: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("prices.py", "steps", PLAN, {**PLAN, "steps": []}),
    ("true", "done", REPORT, {**REPORT, "done": False}),
    ("approved", "verdict", APPROVED, REJECTED),
)
TEXT = "The module prices.py has one function, total(), which adds prices up."


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request says of where the work stands."""

    role: str
    turn: int
    corrected: bool
    has_tools: bool
    text: str


def seen(body: Body) -> Seen:
    """Read a request."""
    messages: list[Mapping[str, Any]] = list(body["messages"])
    text = "\n".join(_text(message) for message in messages)
    role = next((one for one in ("planner", "executor", "reviewer") if f"Role: {one}" in text), "worker")
    if role == "worker" and body.get("response_format"):
        role = "converter"
    turn = sum(message["role"] == "assistant" for message in messages)
    return Seen(role, turn, turn > 0 and messages[-1]["role"] == "user", bool(body.get("tools")), text)


def make_workspace(folder: Path) -> None:
    """The repository that is worked on."""
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "prices.py").write_text(BROKEN, encoding="utf-8")
    (folder / "tests" / "test_prices.py").write_text(TEST, encoding="utf-8")


def is_repaired(folder: Path) -> bool:
    """Whether the work is really done."""
    return (folder / "prices.py").read_text(encoding="utf-8") == REPAIRED


def answer(body: Body, folder: Path) -> Reply:
    """What the flawless model says next."""
    request = seen(body)
    match request.role:
        case "planner":
            return say(PLAN)
        case "executor":
            return with_ids(_execute(request, folder), f"call_{request.turn}")
        case "reviewer":
            return say(APPROVED if is_repaired(folder) else REJECTED)
        case "converter":
            return say(_converted(_text(body["messages"][-1]), json.dumps(body["response_format"])))
        case _:
            return say({"text": TEXT})


def say(value: Mapping[str, Any]) -> Reply:
    """An answer in the form that was asked for."""
    return Reply(json.dumps(value))


def call(name: str, **arguments: Any) -> Reply:
    """A tool call."""
    return Reply(calls=(ToolCall(name, json.dumps(arguments)),))


def _converted(text: str, form: str) -> Mapping[str, Any]:
    """What a text says, in another form: CrewAI asks for that where it cannot read an answer. Nothing is added."""
    value, key, answer, otherwise = next(one for one in _CONVERSIONS if f'"{one[1]}"' in form)
    said = text.rpartition(f"{key}")[2].casefold()
    # What was cut off says nothing.
    return answer if key in text and "}" in text and value in said.replace(" ", "_") else otherwise


def _execute(request: Seen, folder: Path) -> Reply:
    if "return sum(prices)" not in request.text.partition("Goal:")[2]:
        return call("read_file", path="prices.py")
    if not is_repaired(folder):
        if OLD not in (folder / "prices.py").read_text(encoding="utf-8"):
            return call("write_file", path="prices.py", content=REPAIRED)
        return call("replace_in_file", path="prices.py", old=OLD, new=NEW)
    if "Ran 1 test" not in request.text:
        return call("run_command", command=TEST_COMMAND)
    return say(REPORT)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    calls = json.dumps(message["tool_calls"]) if message.get("tool_calls") else ""
    return f"{content or ''}{calls}"

"""The sample goal, really solved: the plan, the wrong lines, and what a reviewer finds missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.labels import LABEL
from orchestration.rehearsal.scenes.scene import (
    executed,
    finding,
    has_changes,
    json_reply,
    reviewed,
    tests_pass,
)

_EXTRA_TEST = "tests/test_credit_notes.py"
_EXTRA_CLASS = "class CreditNote("
_TOOLS = {"read_file", "write_file", "replace_in_file", "run_command"}


@dataclass(frozen=True, slots=True)
class TallybookEdit:
    """A line to replace, or with no `old` a whole file to write."""

    path: str
    old: str | None
    new: str

    @property
    def call(self) -> RehearsalToolCall:
        if self.old is None:
            return RehearsalToolCall("write_file", {"path": self.path, "content": self.new})
        return RehearsalToolCall("replace_in_file", {"path": self.path, "old": self.old, "new": self.new})


@dataclass(frozen=True, slots=True)
class TallybookJob:
    """What an executor does for one step: read, edit, test. A repair starts by seeing its tests fail."""

    title: str
    summary: str
    reads: tuple[str, ...]
    edits: tuple[TallybookEdit, ...]
    tests: tuple[str, ...] = ()
    repair: bool = False

    @property
    def test_call(self) -> RehearsalToolCall:
        return RehearsalToolCall("run_command", {"command": ["python3", "-m", "unittest", *self.tests]})


_ROUNDING = TallybookJob(
    title="Round percentages half up",
    summary="Percentages are rounded half up instead of being cut off.",
    reads=("tallybook/money.py", "tests/test_money.py"),
    edits=(
        TallybookEdit(
            "tallybook/money.py", "from decimal import Decimal", "from decimal import ROUND_HALF_UP, Decimal"
        ),
        TallybookEdit(
            "tallybook/money.py",
            "return int(cents * percent / 100)",
            "return int((cents * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))",
        ),
    ),
    tests=("tests.test_money",),
    repair=True,
)

_WEEKENDS = TallybookJob(
    title="Move due dates from weekends to Monday",
    summary="A due date on a Saturday moves to Monday, no longer to Sunday.",
    reads=("tallybook/terms.py", "tests/test_terms.py"),
    edits=(
        TallybookEdit("tallybook/terms.py", "due += timedelta(days=1)", "due += timedelta(days=7 - due.weekday())"),
    ),
    tests=("tests.test_terms",),
    repair=True,
)

_CHANGELOG_TEXT = f"""\
# Changelog

## Unreleased

- {LABEL} Tax is rounded half up to the cent, no longer cut off.
- {LABEL} A due date on a Saturday moves to the Monday after it, no longer to Sunday.

## 0.2.0

- An invoice knows the day on which it is due.

## 0.1.0

- Net amount, value added tax and total of an invoice.
"""

_CHANGELOG = TallybookJob(
    title="Run all tests and note the repairs",
    summary="All tests pass and the changelog names both repairs.",
    reads=("CHANGELOG.md",),
    edits=(TallybookEdit("CHANGELOG.md", None, _CHANGELOG_TEXT),),
)

_CREDIT_NOTE_TEST = f'''\
"""Credit notes have negative amounts. {LABEL}"""

import unittest
from decimal import Decimal

from tallybook.money import percentage


{_EXTRA_CLASS}unittest.TestCase):
    def test_tax_given_back_is_the_tax_that_was_paid(self) -> None:
        self.assertEqual(percentage(-105, Decimal(19)), -percentage(105, Decimal(19)))

    def test_half_a_cent_goes_away_from_zero(self) -> None:
        self.assertEqual(percentage(-50, Decimal(7)), -4)
'''

_EDGE_CASE = TallybookJob(
    title=_EXTRA_TEST,
    summary="Credit notes have tests of their own.",
    reads=("tests/test_money.py",),
    edits=(TallybookEdit(_EXTRA_TEST, None, _CREDIT_NOTE_TEST),),
)

_EVERYTHING = TallybookJob(
    title="backlog",
    summary="Both bugs of the backlog are repaired.",
    reads=_ROUNDING.reads + _WEEKENDS.reads + _CHANGELOG.reads,
    edits=_ROUNDING.edits + _WEEKENDS.edits + _CHANGELOG.edits,
    repair=True,
)

# The prompt of a later step may name the earlier ones, so the later ones are tried first. An executor without a plan
# gets the whole backlog.
_JOBS = (_EDGE_CASE, _CHANGELOG, _ROUNDING, _WEEKENDS, _EVERYTHING)


def is_planning(conversation: RehearsalRequest) -> bool:
    """Whether a planner has found the sample's backlog."""
    return (
        conversation.role == "planner" and "tallybook" in conversation.all_text and "backlog" in conversation.user_text
    )


def is_executing(conversation: RehearsalRequest) -> bool:
    """Whether an executor with the necessary tools is on one of the steps known here."""
    # Without these tools the generic scene answers: a call of a tool that was not offered fails each time it is made.
    able = conversation.role == "executor" and conversation.tools >= _TOOLS
    return able and "tallybook" in conversation.user_text and _job(conversation) is not None


def is_reviewing(conversation: RehearsalRequest) -> bool:
    """Whether a reviewer looks at the sample goal."""
    return (
        conversation.role == "reviewer"
        and "tallybook" in conversation.user_text
        and "backlog" in conversation.user_text
    )


def plan(_conversation: RehearsalRequest) -> RehearsalReply:
    """Two independent repairs, then a step that needs both."""
    return json_reply(
        summary=f"{LABEL} Repair the rounding and the due date side by side, then run all tests and note both.",
        steps=[
            _step("s1", _ROUNDING, "Make `percentage` round half a cent away from zero.", "tests.test_money passes."),
            _step("s2", _WEEKENDS, "Make `due_date` leave a weekend altogether.", "tests.test_terms passes."),
            _step("s3", _CHANGELOG, "Add both under Unreleased.", "All tests pass.", depends_on=["s1", "s2"]),
        ],
        risks=["Other callers of `percentage` may have relied on the missing cent."],
    )


def _step(
    step_id: str, job: TallybookJob, instructions: str, done_when: str, depends_on: list[str] | None = None
) -> dict[str, Any]:
    return {
        "id": step_id,
        "title": job.title,
        "instructions": instructions,
        "files": list(job.reads),
        "depends_on": depends_on or [],
        "done_when": done_when,
    }


def execute(conversation: RehearsalRequest) -> RehearsalReply:
    """The next reply on a step, from the tool results so far."""
    job = _job(conversation) or _EVERYTHING
    runs = conversation.results("run_command")
    if job.repair and not runs:
        return RehearsalReply(calls=(job.test_call,))
    # A step that is carried out again after a restart finds its own repair in the workspace.
    if job.repair and len(conversation.past_calls) == 1 and tests_pass(runs[0]):
        return executed("Nothing to repair: the tests pass already.", done=True)
    if not conversation.results("read_file"):
        return RehearsalReply(calls=tuple(RehearsalToolCall("read_file", {"path": path}) for path in job.reads))
    if edit := next(_outstanding(job, conversation), None):
        return RehearsalReply(calls=(edit.call,))
    if conversation.past_calls[-1].call.name != "run_command":
        return RehearsalReply(calls=(job.test_call,))
    return _finish(job, runs[-1])


def _job(conversation: RehearsalRequest) -> TallybookJob | None:
    return next((job for job in _JOBS if job.title in conversation.step), None)


def _outstanding(job: TallybookJob, conversation: RehearsalRequest) -> Iterator[TallybookEdit]:
    """The edits that were not tried yet and whose line is still in the files: a step may be repeated."""
    tried = [past.call for past in conversation.past_calls]
    reads = (past for past in conversation.past_calls if past.call.name == "read_file")
    texts = {past.call.arguments.get("path"): past.result for past in reads}
    for edit in job.edits:
        if edit.call not in tried and (edit.old is None or edit.old in texts.get(edit.path, "")):
            yield edit


def _finish(job: TallybookJob, last_run: str) -> RehearsalReply:
    if tests_pass(last_run):
        return executed(job.summary, done=True, notes=("The tests were run after the change and pass.",))
    return executed("The tests still fail.", done=False, notes=("The files are not as this rehearsal knows them.",))


def review(conversation: RehearsalRequest) -> RehearsalReply:
    """Request what is missing, the worst first. In the first round a test is missing, in the second it is there."""
    if not has_changes(conversation.user_text):
        return reviewed("Nothing was changed.", finding("blocker", "The difference is empty."), approved=False)
    if not tests_pass(conversation.user_text):
        return reviewed("The tests do not pass.", finding("blocker", "Make all tests pass."), approved=False)
    if _EXTRA_CLASS not in conversation.user_text:
        message = f"No test covers a credit note, whose amounts are negative. Add {_EXTRA_TEST}."
        missing = finding("major", message, "tests/test_money.py")
        return reviewed("Both repairs are right; one case is not tested.", missing, approved=False)
    return reviewed("Both repairs are right, and credit notes are tested.", approved=True)

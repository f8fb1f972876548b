"""Console commands that messages, screens and pages tell people to type. Pure.

They are built here, so that all of them name the command that works for a subject.
"""

from __future__ import annotations

import shlex

PROGRAM = "orchestrator"
# Enough of a question to tell it from others; the whole text may be several lines long.
_QUESTION_WIDTH = 60


def is_run(subject: str) -> bool:
    """Whether the subject of a question is a run; otherwise it is an incident."""
    return subject.startswith("run-")


def show_command(subject: str, *, program: str = PROGRAM) -> str:
    """The command that shows a run or an incident."""
    return f"{program} {_group(subject)} show {subject}"


def answer_command(subject: str, question: str = "", *, approve: bool = True, program: str = PROGRAM) -> str:
    """The command that answers a question about a run or an incident; `question` chooses one of several."""
    verb = "approve" if approve else "deny"
    chosen = f" --question {shlex.quote(question_part(question))}" if question else ""
    return f"{program} {_group(subject)} {verb} {subject}{chosen}"


def question_part(question: str) -> str:
    """The beginning of a question, by which `--question` finds it again."""
    return one_line(question)[:_QUESTION_WIDTH].rstrip()


def one_line(text: str) -> str:
    """A text with its white space reduced to single spaces, which is how messages show questions."""
    return " ".join(text.split())


def _group(subject: str) -> str:
    return "runs" if is_run(subject) else "incidents"

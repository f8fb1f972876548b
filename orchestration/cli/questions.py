"""The questions that runs and incidents ask people: how they are listed, and the commands `approve` and `deny`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.client import Client
from orchestration.domain.console_command import PROGRAM, answer_command, one_line
from orchestration.errors import ConflictError, UsageError

if TYPE_CHECKING:  # a command on a server need not load what opens a project
    from orchestration.app import ProjectRecords


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that waits for an answer, wherever it was read."""

    id: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class AskingSubject:
    """A run or an incident with its open questions; `answer` takes a question, whether it is approved, and why."""

    id: str
    status: str
    questions: Sequence[OpenQuestion]
    answer: Callable[[OpenQuestion, bool, str], Any]


# Finds the run or the incident that a text names.
FindSubject = Callable[[click.Context, str], AbstractContextManager[AskingSubject]]


def add_answer_commands(group: click.Group, noun: str, find: FindSubject, *, approve: str, deny: str) -> None:
    """Add `approve` and `deny`, with these helps, to the commands of runs or of incidents."""
    for name, summary, approved in (("approve", approve, True), ("deny", deny, False)):
        group.add_command(_answer_command(name, noun, summary, find, approved=approved))


def _answer_command(name: str, noun: str, summary: str, find: FindSubject, *, approved: bool) -> click.Command:
    def callback(subject: str, question: str | None, reason: str, as_json: bool) -> None:
        with find(click.get_current_context(), subject) as asking:
            chosen = choose(asking, question)
            record = asking.answer(chosen, approved, reason)
            if as_json:
                common.print_json(record)
            else:
                echo(f"{asking.id}: {'approved' if approved else 'denied'}: {chosen.text}")

    parameters: list[click.Parameter] = [
        click.Argument(["subject"], metavar=noun),
        click.Option(["--question"], help="Which question, by a part of its text.  [default: the only open one]"),
        click.Option(["--reason"], default="", help="The reason; stored with the answer."),
    ]
    return common.json_option(click.Command(name, params=parameters, callback=callback, help=summary))


def choose(asking: AskingSubject, part: str | None) -> OpenQuestion:
    """The question that an answer is for. Raises ConflictError if none is open, UsageError unless one is meant."""
    if not asking.questions:
        raise ConflictError(f"{asking.id} has no open question; it is {asking.status}.")
    found = [one for one in asking.questions if part is None or one_line(part) in one_line(one.text)]
    # Never all at once: an approval counts for the question that a person has read.
    if len(found) != 1:
        listed = "; ".join(one_line(one.text) for one in found or asking.questions)
        problem = "has several open questions" if found else f"has no open question with '{part}'"
        raise UsageError(f"{asking.id} {problem}: {listed}. Choose one with --question and a part of its text.")
    return found[0]


def question_lines(questions: Sequence[OpenQuestion], program: str = PROGRAM) -> Iterator[str]:
    """Each question with the command that answers it."""
    asked = Counter(one.subject for one in questions)
    for one in questions:
        chosen = one.text if asked[one.subject] > 1 else ""
        yield f"question of {one.subject}: {one.text}"
        yield f"    answer: {answer_command(one.subject, chosen, program=program)}  (or deny)"


def asking_here(here: ProjectRecords, subject: str, status: str) -> AskingSubject:
    """A run or an incident of this machine's project."""

    def answer(question: OpenQuestion, approved: bool, reason: str) -> Any:
        here.answer(here.approvals.get(question.id), approved=approved, by=common.user_name(), reason=reason)
        return here.approvals.get(question.id)

    found = here.approvals.list_open(subject)
    return AskingSubject(subject, status, [OpenQuestion(one.id, one.subject, one.question) for one in found], answer)


def asking_there(client: Client, subject: str, status: str) -> AskingSubject:
    """A run or an incident of a server."""

    def answer(question: OpenQuestion, approved: bool, reason: str) -> Any:
        return client.decide(question.id, "approved" if approved else "denied", reason)

    return AskingSubject(subject, status, [question_of(one) for one in client.approvals(subject)], answer)


def question_of(record: Mapping[str, Any]) -> OpenQuestion:
    """A question as the API describes it."""
    return OpenQuestion(record["id"], record["subject"], record["question"])

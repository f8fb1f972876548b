"""Which question an answer is for, and the command that is shown for it."""

from __future__ import annotations

import pytest

from orchestration.cli.questions import AskingSubject, OpenQuestion, choose, question_lines
from orchestration.errors import ConflictError, UsageError
from tests.support.named_commands import commands_in, problem_of

RESTART = OpenQuestion("q1", "inc-1", "Restart the agent.\nIt would: stop 1 run")
ROTATE = OpenQuestion("q2", "inc-1", "Rotate 'KEY'? It would: ask the vendor")
OF_RUN = OpenQuestion("q3", "run-1", "may executor start?")


def asking(*questions: OpenQuestion) -> AskingSubject:
    return AskingSubject("inc-1", "mitigating", questions, lambda *_: None)


def test_the_only_question_needs_no_name() -> None:
    assert choose(asking(RESTART), None) is RESTART


def test_one_of_several_is_chosen_by_a_part_however_it_is_wrapped() -> None:
    assert choose(asking(RESTART, ROTATE), "the agent. It") is RESTART


def test_no_two_questions_are_answered_at_once() -> None:
    with pytest.raises(UsageError, match=r"several open questions: Restart the agent\. It would: stop 1 run; Rotate"):
        choose(asking(RESTART, ROTATE), None)
    with pytest.raises(UsageError, match="has no open question with 'delete'"):
        choose(asking(RESTART, ROTATE), "delete")


def test_without_a_question_nothing_is_answered() -> None:
    with pytest.raises(ConflictError, match="inc-1 has no open question; it is mitigating"):
        choose(asking(), None)


@pytest.mark.parametrize("program", ["orchestrator", "orchestrator --server http://127.0.0.1:1"])
def test_the_command_that_is_shown_answers_the_question_that_it_stands_below(program: str) -> None:
    questions = [RESTART, ROTATE, OF_RUN]
    lines = list(question_lines(questions, program))
    for question, line in zip(questions, lines[1::2], strict=True):
        (command,) = commands_in(line.replace(program, "orchestrator"), "here")
        assert problem_of(command) is None
        group, verb, subject, *options = command.words
        assert (group, verb, subject) == ("runs" if question is OF_RUN else "incidents", "approve", question.subject)
        part = options[1] if options else None
        assert choose(asking(*(one for one in questions if one.subject == subject)), part) is question
        assert line.strip().startswith(f"answer: {program} ")

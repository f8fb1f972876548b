"""Every command that a text tells people to type exists, with its options, its arguments and its values."""

from __future__ import annotations

import pytest

from tests.support.named_commands import NamedCommand, commands_in, named_commands, problem_of


def test_every_command_that_a_text_names_can_be_typed() -> None:
    found = list(named_commands())
    places = {command.place.partition(":")[0] for command in found}
    assert {"README.md", "orchestration/runs/needs.py", "orchestration/web/templates/runs.html"} <= places
    assert [problem for command in found if (problem := problem_of(command))] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("start it: orchestrator serve", None),
        ('type `orchestrator run "make the tests pass" --check "a b"`', None),
        ("`orchestrator incidents approve inc-1 --question 'may I?'`", None),
        ("$ orchestrator --server http://127.0.0.1:1 incidents deny INCIDENT", None),
        ("`orchestrator runs approve`", "missing: RUN"),
        ("`orchestrator runs approve inc-1 --because x`", "No such option"),
        ("`orchestrator runs begin RUN`", "No such command"),
        ("`orchestrator begin`", "No such command"),
        ("`orchestrator --server http://127.0.0.1:1 config show`", "does not work with --server"),
        ("`orchestrator runs list --status broken`", "broken"),
        ("`orchestrator incidents impact INCIDENT TEXT --since 'a while ago'`", "Invalid value"),
        ("`orchestrator runs show RUN RUN`", "unexpected words"),
        ("$ invoke run-planner", None),
        ("$ invoke coordinator-run --goal=x", None),
        ("$ invoke run-everything", "no task"),
        ("$ invoke demo --goal=x", "no option"),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(text: str, problem: str | None) -> None:
    (command,) = commands_in(text, "here")
    found = problem_of(command)
    assert (found is None) if problem is None else (problem in str(found)), found


@pytest.mark.parametrize("text", ["the orchestrator process", "invoke it twice", "an orchestrator.log"])
def test_prose_is_no_command(text: str) -> None:
    assert list(commands_in(text, "here")) == []


def test_what_follows_a_command_does_not_belong_to_it() -> None:
    text = "`orchestrator doctor` says what is missing; orchestrator serve  keeps it running (orchestrator status)"
    found = [command.words for command in commands_in(text, "here")]
    assert found == [("doctor",), ("serve",), ("status",)]
    assert commands_in(text, "here") is not None
    assert NamedCommand("here", "orchestrator", ("doctor",), True) in commands_in(text, "here")

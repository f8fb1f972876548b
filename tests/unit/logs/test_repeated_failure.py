"""A failure that repeats is one line in the log."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.logs import RepeatedFailure
from orchestration.storage.database import StorageError


@given(st.lists(st.sampled_from(["", "no disk", "no database"]), max_size=30))
def test_each_problem_is_one_line_until_an_attempt_succeeds(attempts: list[str]) -> None:
    lines: list[str] = []
    failure = RepeatedFailure(lambda _, message: lines.append(message), "work.failed")
    for problem in attempts:
        failure.note(problem)
    outages = [list(outage) for failed, outage in groupby(attempts, bool) if failed]
    assert lines == [problem for outage in outages for problem in dict.fromkeys(outage)]


def test_texts_that_differ_each_time_do_not_fill_the_log() -> None:
    lines: list[str] = []
    failure = RepeatedFailure(lambda _, message: lines.append(message), "work.failed", "the last one stays in force")
    for number in range(10_000):
        failure.note(f"problem {number}")
    assert len(lines) == 20
    assert lines[0] == "problem 0; the last one stays in force"


def test_only_the_named_errors_are_tolerated_and_only_texts_of_ours_are_shown() -> None:
    lines: list[str] = []
    failure = RepeatedFailure(lambda _, message: lines.append(message), "work.failed")
    for error in (StorageError("the disk is full"), OSError("secret"), OSError("secret")):
        with failure.tolerated(StorageError, OSError):
            raise error
    with failure.tolerated(OSError):
        pass
    with failure.tolerated(OSError):
        raise OSError("secret")
    assert lines == ["the disk is full", "OSError", "OSError"]
    with pytest.raises(KeyError), failure.tolerated(OSError):
        raise KeyError("another")

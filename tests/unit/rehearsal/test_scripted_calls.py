"""Tools that the goal names are called, once each and in their order."""

from __future__ import annotations

from orchestration.rehearsal.conversation import PastToolCall, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.scenes import answer, scripted_calls

READ = RehearsalToolCall("read_file", {"path": "../../etc/passwd"})
RUN = RehearsalToolCall("run_command", {"command": ["rm", "-rf", "x"]})
GOAL = "\n".join(
    (
        "Goal:",
        "Do it.",
        scripted_calls.line(READ.name, **READ.arguments),
        scripted_calls.line(RUN.name, **RUN.arguments),
    )
)


def test_the_calls_are_made_one_after_the_other() -> None:
    assert answer(RehearsalRequest("worker", GOAL)).calls == (READ,)
    assert answer(RehearsalRequest("worker", GOAL, (PastToolCall(READ, "refused"),))).calls == (RUN,)


def test_after_the_last_one_the_model_answers() -> None:
    done = RehearsalRequest("worker", GOAL, (PastToolCall(READ, "refused"), PastToolCall(RUN, "refused")))
    assert answer(done).calls == ()
    assert answer(done).text


def test_a_line_that_is_no_call_is_not_one() -> None:
    assert not scripted_calls.has_next_call(
        RehearsalRequest("worker", "please call read_file {broken}\ncall me {maybe}")
    )

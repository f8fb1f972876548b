"""Tools that the goal names are called, once each and in their order."""

from __future__ import annotations

from orchestration.drills.rehearsal.conversation import Conversation, ToolCall, Turn
from orchestration.drills.rehearsal.scenes import answer, told

READ = ToolCall("read_file", {"path": "../../etc/passwd"})
RUN = ToolCall("run_command", {"command": ["rm", "-rf", "x"]})
GOAL = "\n".join(("Goal:", "Do it.", told.line(READ.name, **READ.arguments), told.line(RUN.name, **RUN.arguments)))


def test_the_calls_are_made_one_after_the_other() -> None:
    assert answer(Conversation("worker", GOAL)).calls == (READ,)
    assert answer(Conversation("worker", GOAL, (Turn(READ, "refused"),))).calls == (RUN,)


def test_after_the_last_one_the_model_answers() -> None:
    done = Conversation("worker", GOAL, (Turn(READ, "refused"), Turn(RUN, "refused")))
    assert answer(done).calls == ()
    assert answer(done).text


def test_a_line_that_is_no_call_is_not_one() -> None:
    assert not told.is_told(Conversation("worker", "please call read_file {broken}\ncall me {maybe}"))

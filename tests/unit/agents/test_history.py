"""A conversation that outgrows its context is condensed, however it went, and a replay comes to the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.agents.conversation import AgentConversation
from orchestration.agents.history_digest import PastCall, digest, transcript
from orchestration.agents.history_summary import HistorySummary, PastMessages, summary_request
from orchestration.agents.model_calls import ModelReply
from orchestration.agents.tool_calls import ToolAnswer
from orchestration.agents.usage_budget import AgentSetup
from orchestration.config.agents import AgentRole
from orchestration.providers.dialects.context_window import estimated_tokens, fold, room_for_prompt
from orchestration.workflows.model import AgentTask, AgentUsage, CommandRecord, StepReport

TASK = AgentTask(run_id="r", agent="a", role=AgentRole.EXECUTOR, goal="make the tests pass")
SETUP = AgentSetup(system="rules", tools=({},), limits={}, attempts=1, provider=None, model=None, entry_point=None)
READS = {"read_file", "search_files"}.__contains__


def command(text: str, code: int | None, output: str = "") -> CommandRecord:
    return CommandRecord(command=tuple(text.split()), exit_code=code, output=output)


class Talk:
    """A conversation as the loop leads it, with the record of its steps."""

    def __init__(self, window: int, recorded: Sequence[HistorySummary] = ()) -> None:
        self.conversation = AgentConversation(TASK, StepReport)
        self.window = window
        self.recorded = list(recorded)
        self.summaries: list[HistorySummary] = []
        self.sent: list[Any] = []

    def turn(self, said: str, name: str, arguments: str, result: str, ok: bool, ran: CommandRecord | None) -> None:
        """One turn: the request, condensed as often as is necessary, its answer and the result of its call."""
        self.sent.append(self.request())
        number = len(self.sent)
        call = {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        message = {"role": "assistant", "content": said, "tool_calls": [call]}
        self.conversation.add_reply(ModelReply(message=message, use=AgentUsage(), route="p/m"))
        answer = ToolAnswer(text=result, ok=ok, seconds=0, command=ran)
        self.conversation.add_results([call], [answer], READS)

    def request(self) -> Any:
        for _ in range(50):
            body = {"messages": self.conversation.messages(SETUP), "tools": list(SETUP.tools)}
            folded = fold(body, self.window)
            if not folded.left_out or not self.conversation.can_be_condensed:
                return folded.body
            self.conversation.condense(self._summary())
        raise AssertionError("it is condensed without end")

    def _summary(self) -> HistorySummary:
        past = self.conversation.past(self.window)
        done = digest(past.calls, past.said, 1200)
        summary = HistorySummary(messages=past.count, text=done, notes="noted", use=AgentUsage())
        if self.recorded:
            assert summary == self.recorded[len(self.summaries)]
        self.summaries.append(summary)
        return summary


ARGUMENTS = st.builds(
    lambda path, size: json.dumps({"path": path, "content": "y" * size}), st.text(max_size=20), st.integers(0, 9000)
)
RESULTS = st.builds(
    lambda text, times: text * times, st.sampled_from(["line of code\n", "名", "f00d"]), st.integers(0, 6000)
)
TURNS = st.lists(
    st.tuples(
        st.sampled_from(["", "I look.", "名前を見る " * 50]),
        st.sampled_from(["read_file", "write_file", "run_command", "search_files"]),
        st.one_of(ARGUMENTS, st.just("{broken")),
        RESULTS,
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


def lead(talk: Talk, turns: Any) -> None:
    for said, name, arguments, result, ok in turns:
        ran = command(f"make {len(talk.sent) % 3}", int(not ok), result[-50:]) if name == "run_command" else None
        talk.turn(said, name, arguments, result, ok, ran)


@settings(deadline=None, max_examples=60)
@given(TURNS, st.sampled_from([2000, 4096, 8192, 32_768]))
def test_whatever_happens_the_request_fits_and_keeps_what_it_must(turns: Any, window: int) -> None:
    talk = Talk(window)
    lead(talk, turns)
    for body in [*talk.sent, talk.request()]:
        messages = body["messages"]
        assert estimated_tokens(body) <= room_for_prompt(body, window)
        assert messages[0] == {"role": "system", "content": "rules"}
        assert messages[1]["content"].startswith("Goal:\nmake the tests pass")
        called: set[str] = set()
        for message in messages:
            if message["role"] == "tool":
                assert message["tool_call_id"] in called
            called |= {call["id"] for call in message.get("tool_calls") or ()}
        answered = {message["tool_call_id"] for message in messages if message["role"] == "tool"}
        assert called == answered
    last = talk.request()["messages"][-1]
    assert last["tool_call_id"] == f"c{len(turns)}"


@settings(deadline=None, max_examples=30)
@given(TURNS, st.sampled_from([2000, 8192]))
def test_a_replay_of_the_recorded_steps_comes_to_the_same_requests(turns: Any, window: int) -> None:
    first = Talk(window)
    lead(first, turns)
    again = Talk(window, [HistorySummary.model_validate_json(one.model_dump_json()) for one in first.summaries])
    lead(again, turns)
    assert again.sent == first.sent
    assert len(again.summaries) == len(first.summaries)


def test_a_summary_is_due_rarely_and_stands_for_all_that_was_before() -> None:
    talk = Talk(8192)
    for number in range(60):
        arguments = json.dumps({"path": f"src/file{number}.py"})
        talk.turn(f"Now file {number}.", "read_file", arguments, f"{number} " * 1500, True, None)
    assert 2 <= len(talk.summaries) <= 12
    counts = [one.messages for one in talk.summaries]
    assert counts == sorted(set(counts))
    assert all("Read or searched:" in one.text for one in talk.summaries)


def test_the_beginning_of_a_request_is_that_of_the_one_before_until_the_history_is_condensed() -> None:
    talk = Talk(32_768)
    for number in range(8):
        talk.turn("I read.", "read_file", json.dumps({"path": f"{number}"}), "text " * 200, True, None)
    assert not talk.summaries
    for one, other in zip(talk.sent, talk.sent[1:], strict=False):
        assert other["messages"][: len(one["messages"])] == one["messages"]


PATCH = """--- a/e.py
+++ b/e.py
@@ -1 +1 @@
-x
+y
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+z
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-w
"""


def test_the_digest_says_what_was_changed_run_and_tried_in_vain() -> None:
    calls = [
        PastCall("read_file", '{"path": "a.py"}', True, True),
        PastCall("write_file", '{"path": "a.py", "content": "x"}', True, False),
        PastCall("move_file", '{"path": "b.py", "to": "c.py"}', True, False),
        PastCall("apply_patch", json.dumps({"patch": PATCH}), True, False),
        PastCall("replace_in_file", '{"path": "d.py"}', False, False),
        PastCall("run_command", "{}", False, False, command("pytest -q", 1, "1 failed\n\n")),
        PastCall("run_command", "{}", True, False, command("pytest -q", 0, "2 passed\n")),
        PastCall("run_command", "{}", False, False, command("sleep 99", None)),
        PastCall("run_command", "not json", False, False),
    ]
    text = digest(calls, ["I think that the parser is wrong.", ""], 2000)
    assert text.splitlines() == [
        "Changed:",
        "- e.py, new.py, gone.py (apply_patch)",
        "- b.py → c.py (move_file)",
        "- a.py (write_file)",
        "Commands, with the last result of each:",
        "- `sleep 99`: was stopped",
        "- `pytest -q`: exit code 0; 2 passed",
        "Failed:",
        "- run_command",
        "- replace_in_file d.py",
        "Read or searched:",
        "- a.py (read_file)",
        "You said:",
        "- I think that the parser is wrong.",
    ]
    assert digest([], [], 500) == "Nothing was done with tools."


@given(
    st.lists(
        st.builds(PastCall, st.text(max_size=9), st.text(max_size=300), st.booleans(), st.booleans()), max_size=90
    ),
    st.lists(st.text(max_size=400), max_size=30),
    st.integers(600, 9000),
)
def test_a_digest_is_never_longer_than_it_may_be(calls: Any, said: Any, characters: int) -> None:
    many = [PastCall("write_file", json.dumps({"path": f"{number}" * 40}), True, False) for number in range(400)]
    assert len(digest([*calls, *many], said, characters)) <= characters
    assert "more" in digest(many, said, characters)


@given(
    st.lists(st.builds(lambda text: {"role": "user", "content": text}, st.text(max_size=2000)), max_size=60),
    st.integers(400, 9000),
)
def test_a_transcript_is_never_longer_than_it_may_be(messages: Any, characters: int) -> None:
    assert len(transcript(messages, characters)) <= characters


@pytest.mark.parametrize("window", [3000, 8192, 200_000])
def test_the_request_for_a_summary_fits_its_context(window: int) -> None:
    messages = [{"role": "tool", "content": "x" * 20_000}] * 200
    past = PastMessages("the task", "n" * 900, messages, [], [], 200)
    request = summary_request(past, window, "f", 3, {"temperature": 0.1})
    assert request is not None
    assert fold(request.body, window).body is request.body
    assert "n" * 900 in request.body["messages"][1]["content"]
    assert summary_request(past, 2999, "f", 3, {}) is None

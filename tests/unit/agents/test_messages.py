from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.agents.replies import ReplyReading, read_reply
from orchestration.agents.text import sound
from orchestration.agents.tools.registry import ALL
from orchestration.workflows.model import ReviewReport, StepReport, TextAnswer

TOOLS = [tool.schema() for tool in ALL.values()]
CALL = '{"name": "read_file", "arguments": {"path": "a.py"}}'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters()) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SHAPED = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": st.sampled_from([*ALL, "fly", None]), "arguments": JSON})}
)


def read(finish: str = "stop", output: type[Any] = StepReport, **message: Any) -> ReplyReading:
    return read_reply({"role": "assistant", **message}, finish, TOOLS, output, 7)


def called(reading: ReplyReading) -> list[tuple[str, Any]]:
    functions = [call["function"] for call in reading.message.get("tool_calls", ())]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


@given(JSON)
def test_every_text_can_be_encoded_and_all_else_stays(value: Any) -> None:
    json.dumps(sound(value), ensure_ascii=False).encode()
    if "\\ud83d" not in json.dumps(value):
        assert sound(value) == value


@given(JSON, JSON | st.lists(SHAPED, max_size=3))
def test_whatever_a_provider_sends_becomes_a_message_of_one_form(content: Any, tool_calls: Any) -> None:
    message = read(content=content, tool_calls=tool_calls, extra=1).message
    assert message["role"] == "assistant"
    assert isinstance(message["content"], str | None)
    calls = message.get("tool_calls", [])
    assert len({call["id"] for call in calls}) == len(calls)
    for call in calls:
        assert set(call) == {"id", "type", "function"}
        assert call["id"]
        assert isinstance(call["function"]["name"], str)
        assert isinstance(call["function"]["arguments"], str)
    json.dumps(message, ensure_ascii=False).encode()


def test_a_usual_message_stays_as_it_is() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a"}'}}
    assert read(content="I look.", tool_calls=[call]).message == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [call],
    }


def test_calls_that_share_an_id_or_have_none_get_one_each() -> None:
    calls = [{"id": name, "function": {"name": "list_files", "arguments": {}}} for name in ("c0", "c0", None)]
    assert [call["id"] for call in read(tool_calls=calls).message["tool_calls"]] == ["c0", "call00701", "call00702"]


@pytest.mark.parametrize(
    "message",
    [
        {"content": CALL},
        {"content": f"Next I read it.\n{CALL}"},
        {"content": f"<think>Or {{}}?</think><tool_call>{CALL}</tool_call>"},
        {"content": None, "function_call": {"name": "ReadFile", "arguments": '{"file_path": "a.py",}'}},
        {"content": "", "tool_calls": [{"function": {"name": "functions.read_file", "arguments": {"path": "a.py"}}}]},
    ],
)
def test_a_call_is_recognised_in_whatever_form_it_comes(message: dict[str, Any]) -> None:
    assert called(read(**message)) == [("read_file", {"path": "a.py"})]


@pytest.mark.parametrize(
    ("output", "content"),
    [
        (ReviewReport, f'It called {CALL}.\n{{"verdict": "approved", "summary": "Right."}}'),
        (StepReport, f'I would call {CALL}.\n{{"summary": "s", "done": false}}'),
        (TextAnswer, f"A call looks like this:\n\n```json\n{CALL}\n```\n\nThat is all."),
        (StepReport, f"<think>{CALL}</think>Let me see."),
        (StepReport, '{"name": "fly", "arguments": {}}'),
    ],
)
def test_an_example_or_a_thought_is_not_carried_out(output: type[Any], content: str) -> None:
    assert called(read(output=output, content=content)) == []


def test_a_refusal_is_what_was_said_and_a_cut_is_known() -> None:
    refused = read("length", content=None, refusal="I can't help with that.")
    assert (refused.message["content"], refused.cut) == ("I can't help with that.", True)


def test_arguments_that_cannot_be_read_are_kept_for_the_correction() -> None:
    calls = read(tool_calls=[{"id": "a", "function": {"name": "read_file", "arguments": '{"path": "a.'}}])
    assert calls.message["tool_calls"][0]["function"]["arguments"] == '{"path": "a.'

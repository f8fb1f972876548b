from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.slips import competent
from benchmarks.slips.behaviours.reported import reported
from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Reply, ToolCall, events_of
from orchestration.agents.replies import ReplyReading, read_reply
from orchestration.agents.tools.registry import ALL
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.providers.stream_assembly import StreamAssembly, fault_of
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
    json.dumps(sound_value(value), ensure_ascii=False).encode()
    if not re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
        assert sound_value(value) == value


@given(JSON, JSON | st.lists(SHAPED, max_size=3), JSON | st.lists(st.dictionaries(st.text(), JSON), max_size=2))
def test_whatever_a_provider_sends_becomes_a_message_of_one_form(content: Any, tool_calls: Any, thoughts: Any) -> None:
    message = read(content=content, tool_calls=tool_calls, thinking_blocks=thoughts, extra=1).message
    # As they came or not at all, and only before a call.
    if "thinking_blocks" in message:
        assert (message["thinking_blocks"], all(isinstance(one, dict) for one in thoughts)) == (thoughts, True)
        assert message["tool_calls"]
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


# Those that can be read at once. The others are asked for again, or are about a server.
READABLE = {one.name: one.change for one in reported() if one.change and (one.first is None or "two calls" in one.name)}
ASKED = Seen("executor", 1, corrected=False, has_tools=True, text="")
GIVEN = st.one_of(
    st.tuples(st.just("read_file"), st.fixed_dictionaries({"path": st.sampled_from(["a.py", "b c.py"])})),
    st.tuples(
        st.just("replace_in_file"),
        st.fixed_dictionaries(
            {
                "path": st.just("a.py"),
                "old": st.sampled_from(["    return [1]\n", "a = {}\n", "b"]),
                "new": st.sampled_from(["    return 2\n", "é"]),
            }
        ),
    ),
    st.tuples(st.just("run_command"), st.fixed_dictionaries({"command": st.just(["pytest", "-k", "a or b"])})),
)


def streamed(reply: Reply) -> ReplyReading:
    assembly = StreamAssembly()
    for event in events_of(reply):
        assembly.add(event)
    message = assembly.message()
    assert fault_of(message, assembly.finish_reason) is None
    return read(assembly.finish_reason or "stop", **{name: message[name] for name in message if name != "role"})


@pytest.mark.parametrize("name", [name for name in READABLE if "numbers" not in name and "two calls" not in name])
@given(GIVEN)
def test_reported_forms_of_a_call_are_read_as_the_call(name: str, given: tuple[str, dict[str, Any]]) -> None:
    tool, arguments = given
    reply = READABLE[name](Reply(calls=(ToolCall(tool, json.dumps(arguments)),)), ASKED)
    found = called(streamed(reply))
    if "tag" not in name:  # a template puts line feeds around values, so one at the end is not told apart
        assert found[:1] == [(tool, arguments)]
        assert len({str(one) for one in found}) == 1
    stripped = [
        (one, {key: value.strip() if isinstance(value, str) else value for key, value in given.items()})
        for one, given in [*found[:1], (tool, arguments)]
    ]
    assert stripped[0] == stripped[1]


@pytest.mark.parametrize("name", READABLE)
def test_reported_forms_of_an_answer_are_read_as_the_answer(name: str) -> None:
    reading = streamed(READABLE[name](competent.say(competent.REPORT), ASKED))
    if "two calls" in name:
        assert [given["path"] for _, given in called(reading)] == ["prices.py", "tests/test_prices.py"]
    else:
        assert json.loads(reading.message["content"]) == competent.REPORT


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (ReviewReport, {"content": None, "reasoning_content": json.dumps(competent.APPROVED)}),
        (StepReport, {"content": "Let me see.", "reasoning_content": f"<tool_call>{CALL}</tool_call>"}),
        (StepReport, {"content": None, "reasoning_content": f"First <tool_call>{CALL}</tool_call>, or rather not."}),
        (StepReport, {"content": None, "reasoning_content": f"The report: {json.dumps(competent.REPORT)}? No."}),
        (TextAnswer, {"content": None, "reasoning": "I write about prices."}),
    ],
)
def test_what_was_only_thought_is_no_answer(output: type[Any], message: dict[str, Any]) -> None:
    reading = read(output=output, **message)
    assert called(reading) == []
    assert (reading.message["content"] or "").startswith(message["content"] or "")
    assert bool(reading.message["content"]) == bool(message["content"])


def test_a_verdict_by_a_tool_of_its_own_counts_and_beside_another_call_does_not() -> None:
    finish = {"function": {"name": "finish", "arguments": json.dumps(competent.REJECTED)}}
    alone = read(output=ReviewReport, tool_calls=[finish])
    assert json.loads(alone.message["content"]) == competent.REJECTED
    beside = read(output=ReviewReport, tool_calls=[finish, {"function": {"name": "list_files", "arguments": ""}}])
    assert [name for name, _ in called(beside)] == ["finish", "list_files"]


def test_a_wrapper_of_wrappers_ends() -> None:
    inner = {"recipient_name": "multi_tool_use.parallel", "parameters": {"tool_uses": []}}
    wrapper = {"name": "multi_tool_use.parallel", "arguments": json.dumps({"tool_uses": [inner]})}
    assert [name for name, _ in called(read(tool_calls=[{"function": wrapper}]))] == ["multi_tool_use.parallel"]

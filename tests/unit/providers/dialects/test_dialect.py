from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.dialects.dialect import AnswerForm, Dialect, ToolForm, stepped_down
from orchestration.providers.dialects.wire_messages import wire_body
from orchestration.providers.failures import Failure, FailureKind

TOOL = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object", "properties": {}}}}
BODY: dict[str, Any] = {"messages": [], "tools": [TOOL], "response_format": {"type": "json_schema"}}
DIALECTS = st.builds(
    Dialect, st.sampled_from(ToolForm), st.sampled_from(AnswerForm), st.booleans(), st.booleans(), st.booleans()
)


def after(message: str, status: int = 400, dialect: Dialect = Dialect(), body: dict[str, Any] = BODY) -> Dialect | None:  # noqa: B008
    return stepped_down(dialect, Failure(FailureKind.BAD_REQUEST, message, status), body)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("registry.ollama.ai/library/gemma:latest does not support tools", 400),
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', 400),
        ("No endpoints found that support tool use.", 404),
        ("Unsupported param: tools", 500),
        ("tools param requires --jinja flag", 500),
        ("Failed to parse input at pos 395: <|tool_call_start|>[list_files()]<|tool_call_end|>", 500),
        ("error parsing tool call: raw='{}]', err=invalid character ']' after top-level value", 500),
    ],
)
def test_a_server_without_tools_gets_them_as_text(message: str, status: int) -> None:
    assert after(message, status) == Dialect(tools=ToolForm.TEXT)
    assert after(message, status, body={"messages": []}) is None


@pytest.mark.parametrize(
    "message",
    [
        "This response_format type is unavailable now",
        "'response_format.type' : value is not one of the allowed values ['text','json_object']",
        "Failed to deserialize the JSON body: response_format: response_format.type `json_schema` is unavailable now",
    ],
)
def test_the_form_of_an_answer_is_asked_for_less_and_less_strictly(message: str) -> None:
    lower = after(message)
    assert lower == Dialect(answer=AnswerForm.OBJECT)
    lowest = after(message, dialect=lower or Dialect())
    assert lowest == Dialect(answer=AnswerForm.WORDS)
    assert after(message, dialect=lowest or Dialect()) is None


@pytest.mark.parametrize(
    ("message", "dialect"),
    [
        ("Conversation roles must alternate user/assistant/user/assistant/...", Dialect(merged_roles=True)),
        ("System role not supported", Dialect(system_role=False)),
        ("Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", Dialect(plain_ids=True)),
        ("This model's maximum context length is 8000 tokens.", None),
        ("rate limited", None),
    ],
)
def test_other_refusals(message: str, dialect: Dialect | None) -> None:
    assert after(message) == dialect


def test_a_provider_that_is_down_teaches_nothing() -> None:
    assert after("the tools server is unavailable", status=503) is None


@given(DIALECTS, st.text(max_size=40) | st.sampled_from(["tools unsupported", "json_schema unsupported"]))
def test_stepping_down_comes_to_an_end(dialect: Dialect, message: str) -> None:
    steps = 0
    current: Dialect | None = dialect
    while current is not None:
        current = after(message, dialect=current)
        steps += 1
    assert steps <= 7


def call(number: int, arguments: str, *, as_text: bool = False) -> list[dict[str, Any]]:
    function = {"name": "read_file", "arguments": arguments}
    message = {
        "role": "assistant",
        "content": "I call it." if as_text else None,
        "tool_calls": [{"id": f"c{number}", "type": "function", "function": function}],
    }
    result = {"role": "tool", "tool_call_id": f"c{number}", "content": f"result {number}"}
    return [{**message, "as_text": True} if as_text else message, result]


TURNS = st.lists(
    st.one_of(
        st.builds(
            call, st.integers(0, 9), st.sampled_from(["{}", '{"path": "a"}', '{"path', "7"]), as_text=st.booleans()
        ),
        st.builds(lambda text: [{"role": "assistant", "content": text}], st.sampled_from([None, "", " ", "words"])),
        st.just([{"role": "user", "content": "Go on."}]),
    ),
    max_size=6,
)


@given(TURNS, DIALECTS)
def test_every_server_gets_what_it_accepts(turns: list[list[dict[str, Any]]], dialect: Dialect) -> None:
    head = [{"role": "system", "content": "You work."}, {"role": "user", "content": "Begin."}]
    body = {**BODY, "messages": [*head, *(message for turn in turns for message in turn)]}
    before = json.dumps(body)
    wire = wire_body(body, dialect)
    assert json.dumps(body) == before
    messages = wire["messages"]
    for message in messages:
        assert isinstance(message["content"], str)
        assert set(message) <= {"role", "content", "tool_calls", "tool_call_id"}
        assert message["content"].strip() or message.get("tool_calls")
        for one in message.get("tool_calls", ()):
            assert isinstance(json.loads(one["function"]["arguments"]), dict)
    roles = [message["role"] for message in messages]
    assert roles[0] == ("system" if dialect.system_role else "user")
    if dialect.tools is ToolForm.TEXT:
        assert "tools" not in wire
        assert "tool" not in roles
        assert "read_file" in messages[0]["content"]
    if dialect.merged_roles:
        pairs = itertools.pairwise(messages)
        assert all(
            a["role"] != b["role"] for a, b in pairs if "tool" not in (a["role"], b["role"]) and "tool_calls" not in a
        )
    # Nothing that a tool has said is lost.
    said = "\n".join(message["content"] for message in messages)
    assert all(f"result {turn[0]['tool_calls'][0]['id'][1:]}" in said for turn in turns if turn[0].get("tool_calls"))

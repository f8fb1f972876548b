"""What the rehearsal model reads out of a chat request."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestration.rehearsal.conversation import PastToolCall, RehearsalRequest, RehearsalToolCall, read_conversation
from orchestration.rehearsal.requests import OllamaChatRequest, WireChatRequest


def read(*messages: dict, **more: object) -> RehearsalRequest:
    return read_conversation(WireChatRequest.model_validate({"model": "rehearsal-1", "messages": messages, **more}))


def call(name: str, arguments: object, call_id: str | None = None) -> dict:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


def test_the_role_is_a_line_of_the_system_prompt() -> None:
    system = {"role": "system", "content": "You are careful.\nRole: Planner\nPlan first."}
    assert read(system, {"role": "user", "content": "go"}).role == "planner"


def test_a_role_that_only_the_user_names_does_not_count() -> None:
    assert read({"role": "user", "content": "Role: planner"}).role == ""


def test_text_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "fix "}, {"type": "text", "text": "it"}]
    assert read({"role": "user", "content": parts}).user_text == "fix it"


def test_results_find_their_calls_by_id_whatever_their_order() -> None:
    conversation = read(
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call("a", '{"n": 1}', "c1"), call("b", '{"n": 2}', "c2")]},
        {"role": "tool", "tool_call_id": "c2", "content": "second"},
        {"role": "tool", "tool_call_id": "c1", "content": "first"},
    )
    assert conversation.past_calls == (
        PastToolCall(RehearsalToolCall("b", {"n": 2}), "second"),
        PastToolCall(RehearsalToolCall("a", {"n": 1}), "first"),
    )


def test_results_without_ids_answer_the_calls_in_order() -> None:
    conversation = read(
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call("a", {}), call("b", {})]},
        {"role": "tool", "content": "first"},
        {"role": "assistant", "tool_calls": [call("c", {})]},
        {"role": "tool", "content": "second"},
        {"role": "tool", "content": "third"},
    )
    assert [(past.call.name, past.result) for past in conversation.past_calls] == [
        ("a", "first"),
        ("b", "second"),
        ("c", "third"),
    ]


def test_a_result_that_nobody_asked_for_is_left_out() -> None:
    assert read({"role": "user", "content": "go"}, {"role": "tool", "content": "?"}).past_calls == ()


@pytest.mark.parametrize("arguments", ['{"path', "[1]", ""])
def test_arguments_that_are_no_object_read_as_none(arguments: str) -> None:
    conversation = read(
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call("a", arguments, "c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": "bad arguments"},
    )
    assert conversation.past_calls[0].call == RehearsalToolCall("a", {})


def test_the_tools_on_offer_are_known_by_name() -> None:
    tools = [{"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}]
    assert read({"role": "user", "content": "go"}, tools=tools).tools == {"read_file"}


@pytest.mark.parametrize(
    ("response_format", "schema"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}, {"type": "array"}),
    ],
)
def test_the_schema_comes_from_the_response_format(response_format: object, schema: object) -> None:
    assert read({"role": "user", "content": "go"}, response_format=response_format).schema == schema


@pytest.mark.parametrize(
    ("wanted", "schema"), [(None, None), ("json", {"type": "object"}), ({"type": "array"}, {"type": "array"})]
)
def test_ollama_calls_the_schema_format(wanted: object, schema: object) -> None:
    messages = [{"role": "user", "content": "go"}]
    request = OllamaChatRequest.model_validate({"model": "rehearsal-1", "messages": messages, "format": wanted})
    assert read_conversation(request).schema == schema


def test_a_request_without_messages_is_no_request() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        read()

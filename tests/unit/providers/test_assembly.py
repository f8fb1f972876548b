from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.failures import FailureKind
from orchestration.providers.stream_assembly import StreamAssembly, as_chunk, fault_of, usage_of
from orchestration.providers.wire import TokenUsage


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def assembled(*chunks: dict[str, Any]) -> StreamAssembly:
    assembly = StreamAssembly()
    for one in chunks:
        assembly.add(one)
    return assembly


@given(st.lists(st.text(), max_size=20))
def test_the_pieces_of_a_text_make_the_text(pieces: list[str]) -> None:
    assembly = assembled(*[chunk(content=piece) for piece in pieces], chunk("stop"))
    assert (assembly.message()["content"] or "") == "".join(pieces)
    assert assembly.tokens == sum(bool(piece) for piece in pieces)
    assert assembly.finish_reason == "stop"


def test_the_pieces_of_tool_calls_are_put_together_by_their_index() -> None:
    def part(index: int, **function: str) -> dict[str, Any]:
        return chunk(tool_calls=[{"index": index, "id": "c" if "name" in function else None, "function": function}])

    assembly = assembled(
        part(1, name="second", arguments=""),
        part(0, name="first", arguments='{"a"'),
        part(1, arguments="{}"),
        part(0, arguments=": 1}"),
        chunk("tool_calls"),
    )
    message = assembly.message()
    functions = [call["function"] for call in message["tool_calls"]]
    assert functions == [{"name": "first", "arguments": '{"a": 1}'}, {"name": "second", "arguments": "{}"}]
    assert [call["id"] for call in message["tool_calls"]] == ["c", "c"]
    assert message["content"] is None


def test_what_brings_no_token_is_told_apart_from_what_does() -> None:
    assembly = StreamAssembly()
    silent = [{}, {"choices": []}, chunk(role="assistant", content=""), chunk("stop"), {"choices": [{"index": 0}]}]
    assert [assembly.add(one) for one in silent] == [False] * 5
    telling = [chunk(content="x"), chunk(reasoning="hm"), chunk(reasoning_content="hm"), chunk(refusal="no")]
    assert [assembly.add(one) for one in telling] == [True] * 4


def test_a_content_in_parts_is_its_text_and_thinking_is_kept_apart() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    message = assembled(chunk(content=[thinking, {"type": "text", "text": "Y"}]), chunk(content="es")).message()
    assert message["content"] == "Yes"
    thought = assembled(chunk(reasoning="h"), chunk(reasoning="m", content=None)).message()
    assert (thought["content"], thought["reasoning"]) == (None, "hm")


def test_the_providers_own_count_of_tokens_wins_over_an_estimate() -> None:
    reported = assembled(chunk(content="x"), {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": None}})
    assert reported.usage({"messages": []}) == TokenUsage(7, 0)
    estimated = assembled(chunk(content="x" * 400)).usage({"messages": ["y" * 4000]})
    assert estimated.estimated
    assert estimated.prompt_tokens > 1000
    assert estimated.completion_tokens > 100
    assert usage_of({}, {}, {}).estimated


@pytest.mark.parametrize(
    ("message", "finish", "kind"),
    [
        ({"content": "x"}, "stop", None),
        ({"content": None, "tool_calls": [{}]}, "tool_calls", None),
        ({"content": None, "refusal": "no"}, "stop", None),
        ({"content": ""}, "length", None),
        ({"content": ""}, "stop", FailureKind.MALFORMED),
        ({"content": "x"}, None, FailureKind.MALFORMED),
        ({"content": "x"}, "content_filter", FailureKind.CONTENT_FILTER),
        ({"content": None, "reasoning_content": "hm"}, "stop", None),
        ({"content": '{"a": [1]}'}, None, None),
        ({"content": '{"a": [1'}, None, FailureKind.MALFORMED),
        ({"content": "1"}, None, FailureKind.MALFORMED),
        ({"content": None, "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}, None, None),
        ({"content": None, "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]}, None, FailureKind.MALFORMED),
    ],
)
def test_an_answer_is_whole_or_what_is_wrong_is_named(
    message: dict[str, Any], finish: str | None, kind: FailureKind | None
) -> None:
    failure = fault_of(message, finish)
    assert (failure.kind if failure else None) == kind


def test_a_whole_answer_as_a_chunk_is_put_together_to_itself() -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": "x", "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "1", "choices": [choice], "usage": {"prompt_tokens": 3}}
    one = as_chunk(body)
    assert (one["id"], one["object"]) == ("1", "chat.completion.chunk")
    assembly = assembled(one)
    assert assembly.message() == message
    assert (assembly.finish_reason, assembly.usage({}).prompt_tokens) == ("stop", 3)

"""Server-sent events as a client reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx2


def events_in(answer: httpx2.Response) -> list[dict[str, Any]]:
    """The data of all events; fails where the name of an event is not its type."""
    found = []
    for block in answer.text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        assert len(lines) == 2, lines
        assert lines[0].startswith("event: "), lines
        assert lines[1].startswith("data: "), lines
        data = json.loads(lines[1].removeprefix("data: "))
        assert data["type"] == lines[0].removeprefix("event: ")
        found.append(data)
    return found


def message_in(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The message of Anthropic's API that a stream of events tells, joined as a client joins it. Fails where their
    order is not the documented one: https://platform.claude.com/docs/en/build-with-claude/streaming."""
    first, *rest = events
    assert first["type"] == "message_start"
    assert rest[-1]["type"] == "message_stop"
    message, open_, arguments = first["message"], None, ""
    assert message["content"] == []
    for event in rest[:-1]:
        match event["type"]:
            case "content_block_start":
                assert (open_, event["index"]) == (None, len(message["content"])), event
                open_, arguments = event["content_block"], ""
                message["content"].append(open_)
            case "content_block_delta":
                assert open_ is not None
                assert event["index"] == len(message["content"]) - 1
                arguments += _join(open_, event["delta"])
            case "content_block_stop":
                assert open_ is not None
                assert event["index"] == len(message["content"]) - 1
                if open_["type"] == "tool_use":
                    open_["input"] = json.loads(arguments or "{}")
                open_ = None
            case "message_delta":
                assert open_ is None
                message |= event["delta"] | {"usage": event["usage"]}
            case other:
                raise AssertionError(other)
    return message


def _join(block: dict[str, Any], delta: dict[str, Any]) -> str:
    """Add a delta to its block; returns the arguments in it."""
    expected = {"text": "text_delta", "tool_use": "input_json_delta"}.get(block["type"])
    match delta["type"]:
        case "input_json_delta":
            assert delta["type"] == expected
            return str(delta["partial_json"])
        case "text_delta":
            assert delta["type"] == expected
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] += delta["signature"]
    return ""


def response_in(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The response that a stream of events of OpenAI's Responses API tells. Fails where their order is not the
    documented one, or what was told in pieces is not what is told in the end:
    https://platform.openai.com/docs/api-reference/responses-streaming."""
    told = list(events)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert [event["type"] for event in told[:2]] == ["response.created", "response.in_progress"]
    assert told[0]["response"]["output"] == []
    output: list[dict[str, Any]] = []
    pieces, ended = "", True
    for event in told[2:-1]:
        name = event["type"].removeprefix("response.")
        assert event["output_index"] == len(output) - (name != "output_item.added")
        match name:
            case "output_item.added":
                assert ended
                assert event["item"]["status"] == "in_progress"
                output.append(event["item"])
                pieces, ended = "", False
            case "output_item.done":
                assert event["item"]["id"] == output[-1]["id"]
                output[-1], ended = event["item"], True
            case "output_text.delta" | "function_call_arguments.delta" | "reasoning_summary_text.delta":
                assert event["item_id"] == output[-1]["id"]
                pieces += event["delta"]
            case "output_text.done" | "reasoning_summary_text.done":
                assert event["text"] == pieces
            case "function_call_arguments.done":
                assert event["arguments"] == pieces
            case "content_part.added" | "reasoning_summary_part.added":
                assert (pieces, event["part"]["text"]) == ("", "")
            case "content_part.done" | "reasoning_summary_part.done":
                assert event["part"]["text"] == pieces
            case other:
                raise AssertionError(other)
    last = told[-1]
    assert last["type"] == f"response.{last['response']['status']}"
    assert ended or last["type"] == "response.failed"
    if ended:
        assert last["response"]["output"] == output
    return dict(last["response"])

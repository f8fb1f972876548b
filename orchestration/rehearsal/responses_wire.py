"""Replies in the format of OpenAI's Responses API: https://developers.openai.com/api/reference/resources/responses.

Either one object, or server-sent events: each item with its beginning, its pieces and its end, and the whole response
as the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.rehearsal.answer import RehearsalAnswer, arguments_text, in_pieces
from orchestration.rehearsal.labels import LABEL
from orchestration.rehearsal.wire_reply import WireDialect, WireReply, stream_piece, whole

_ENCRYPTED = "cmVoZWFyc2Fs"  # the vendor's are base64, too; clients send them back as they are


def response(answer: RehearsalAnswer, *, encrypts: bool) -> WireReply:
    """The answer as one object."""
    return whole(_response(answer, "completed", list(_items(answer, encrypts=encrypts))), WireDialect.RESPONSES)


def stream(answer: RehearsalAnswer, *, encrypts: bool, pause: float) -> WireReply:
    """The answer as server-sent events, `pause` seconds apart."""
    events = enumerate(_events(answer, list(_items(answer, encrypts=encrypts))))
    pieces = [stream_piece({**event, "sequence_number": number}, WireDialect.RESPONSES) for number, event in events]
    return WireReply(
        pieces=tuple(pieces),
        content_type="text/event-stream; charset=utf-8",
        headers={"cache-control": "no-cache"},
        dialect=WireDialect.RESPONSES,
        streaming=True,
        pause=pause,
    )


def _events(answer: RehearsalAnswer, items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    begun = _response(answer, "in_progress", [])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for number, item in enumerate(items):
        empty = {name: value for name, value in item.items() if name not in _FILLED} | _EMPTY[item["type"]]
        yield {"type": "response.output_item.added", "output_index": number, "item": empty}
        yield from ({**event, "item_id": item["id"], "output_index": number} for event in _pieces(item))
        yield {"type": "response.output_item.done", "output_index": number, "item": item}
    yield {"type": "response.completed", "response": _response(answer, "completed", items)}


# What an item gets while it is streamed, and how it is before.
_FILLED = ("content", "arguments", "encrypted_content", "status")
_EMPTY: Mapping[str, dict[str, Any]] = {
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
    "reasoning": {},
}


def _pieces(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What follows the beginning of an item, without its place."""
    if item["type"] == "function_call":
        for piece in in_pieces(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", "delta": piece}
        yield {"type": "response.function_call_arguments.done", "name": item["name"], "arguments": item["arguments"]}
    elif item["type"] == "message":
        part = item["content"][0]
        at = {"content_index": 0}
        yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
        for piece in in_pieces(part["text"]):
            yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **at, "part": part}


def _items(answer: RehearsalAnswer, *, encrypts: bool) -> Iterator[dict[str, Any]]:
    mark = answer.fingerprint[:12]
    if encrypts:
        yield {"id": f"rs_{mark}", "type": "reasoning", "summary": [], "encrypted_content": _ENCRYPTED}
    if text := answer.reply.text:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        yield {"id": f"msg_{mark}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    for index, call in enumerate(answer.reply.calls):
        called = {"call_id": answer.call_id(index), "name": call.name, "arguments": arguments_text(answer.reply, call)}
        yield {"id": f"fc_{mark}_{index}", "type": "function_call", "status": "completed", **called}


def _response(answer: RehearsalAnswer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    counts = (answer.prompt_tokens, answer.completion_tokens)
    usage = {
        "input_tokens": counts[0],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": counts[1],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(counts),
    }
    return {
        "id": f"resp_rehearsal_{answer.fingerprint[:12]}",
        "object": "response",
        "created_at": int(answer.at.timestamp()),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": f"{LABEL}: no model was asked",
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if status == "completed" else None,
    }

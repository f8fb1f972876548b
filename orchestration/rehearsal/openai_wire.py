"""Replies in the OpenAI chat format: https://platform.openai.com/docs/api-reference/chat.

Either one object, or server-sent events: the text and the arguments of tool calls in pieces, the finish reason, the
usage if it was requested, and `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.rehearsal.answer import RehearsalAnswer, arguments_text, in_pieces
from orchestration.rehearsal.labels import FINGERPRINT
from orchestration.rehearsal.wire_reply import WireDialect, WireReply, stream_piece, whole

_END_OF_STREAM = b"data: [DONE]\n\n"


def models(names: tuple[str, ...]) -> WireReply:
    """The answer to `GET /v1/models`."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "rehearsal"} for name in names]
    return whole({"object": "list", "data": data})


def completion(answer: RehearsalAnswer) -> WireReply:
    """The answer as one object."""
    # OpenAI sends null, not an empty text, as the content beside tool calls.
    message: dict[str, Any] = {"role": "assistant", "content": answer.reply.text or None, "refusal": None}
    if answer.reply.calls:
        message["tool_calls"] = [_tool_call(answer, index) for index in range(len(answer.reply.calls))]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    body = {**_head(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}
    return whole(body)


def stream(answer: RehearsalAnswer, *, include_usage: bool, pause: float) -> WireReply:
    """The answer as server-sent events, `pause` seconds apart."""
    # With `include_usage` every chunk carries a `usage` of null, and the last one the usage but no
    # choices: see `stream_options` in the API reference.
    events = (_event({**chunk, "usage": None} if include_usage else chunk) for chunk in _chunks(answer))
    usage = [_event({**_head(answer, "chat.completion.chunk"), "choices": [], "usage": _usage(answer)})]
    return WireReply(
        pieces=(*events, *(usage if include_usage else ()), _END_OF_STREAM),
        content_type="text/event-stream; charset=utf-8",
        headers={"cache-control": "no-cache"},
        streaming=True,
        pause=pause,
    )


def _chunks(answer: RehearsalAnswer) -> Iterator[dict[str, Any]]:
    for delta in _deltas(answer):
        yield _chunk(answer, delta, None)
    yield _chunk(answer, {}, answer.finish_reason)


def _deltas(answer: RehearsalAnswer) -> Iterator[dict[str, Any]]:
    """The message in pieces; a tool call's id and name come before its arguments."""
    yield {"role": "assistant", "content": None if answer.reply.calls else "", "refusal": None}
    for piece in in_pieces(answer.reply.text):
        yield {"content": piece}
    for index, call in enumerate(answer.reply.calls):
        opening = _tool_call(answer, index)
        opening["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": index, **opening}]}
        for piece in in_pieces(arguments_text(answer.reply, call)):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _tool_call(answer: RehearsalAnswer, index: int) -> dict[str, Any]:
    call = answer.reply.calls[index]
    function = {"name": call.name, "arguments": arguments_text(answer.reply, call)}
    return {"id": answer.call_id(index), "type": "function", "function": function}


def _chunk(answer: RehearsalAnswer, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**_head(answer, "chat.completion.chunk"), "choices": [choice]}


def _head(answer: RehearsalAnswer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-rehearsal-{answer.fingerprint[:12]}",
        "object": kind,
        "created": int(answer.at.timestamp()),
        "model": answer.model,
        "system_fingerprint": FINGERPRINT,
    }


def _usage(answer: RehearsalAnswer) -> dict[str, int]:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _event(body: object) -> bytes:
    return stream_piece(body, WireDialect.OPENAI)

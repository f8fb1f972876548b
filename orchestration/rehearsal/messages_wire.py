"""Replies in the format of Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages.

Either one object, or server-sent events: the beginning with the tokens of the prompt, each block with its beginning,
its pieces and its end, the reason of the end with the tokens of the answer, and the end itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.rehearsal.answer import RehearsalAnswer, arguments_text, in_pieces
from orchestration.rehearsal.labels import LABEL
from orchestration.rehearsal.wire_reply import WireDialect, WireReply, stream_piece, whole

_THOUGHT = f"{LABEL} a thought"
_SIGNATURE = "cmVoZWFyc2Fs"  # Anthropic's are base64, too; clients send them back as they are


def message(answer: RehearsalAnswer, *, thinks: bool) -> WireReply:
    """The answer as one object."""
    body = {**_head(answer), "content": list(_blocks(answer, thinks=thinks)), **_end(answer)}
    return whole(
        {**body, "usage": {**_prompt(answer), "output_tokens": answer.completion_tokens}}, WireDialect.MESSAGES
    )


def stream(answer: RehearsalAnswer, *, thinks: bool, pause: float) -> WireReply:
    """The answer as server-sent events, `pause` seconds apart."""
    return WireReply(
        pieces=tuple(stream_piece(event, WireDialect.MESSAGES) for event in _events(answer, thinks=thinks)),
        content_type="text/event-stream; charset=utf-8",
        headers={"cache-control": "no-cache"},
        dialect=WireDialect.MESSAGES,
        streaming=True,
        pause=pause,
    )


def _events(answer: RehearsalAnswer, *, thinks: bool) -> Iterator[dict[str, Any]]:
    begun = {**_head(answer), "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**begun, "usage": {**_prompt(answer), "output_tokens": 1}}}
    yield {"type": "ping"}
    calls = iter(answer.reply.calls)
    for index, block in enumerate(_blocks(answer, thinks=thinks)):
        empty, deltas = _pieces(block, arguments_text(answer.reply, next(calls)) if "input" in block else "")
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": _end(answer), "usage": {"output_tokens": answer.completion_tokens}}
    yield {"type": "message_stop"}


def _pieces(block: dict[str, Any], arguments: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it begins, and what follows."""
    match block["type"]:
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in in_pieces(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*deltas, signed]
        case "tool_use":
            pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *in_pieces(arguments))]
            return {**block, "input": {}}, pieces
        case _:
            return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in in_pieces(block["text"])]


def _blocks(answer: RehearsalAnswer, *, thinks: bool) -> Iterator[dict[str, Any]]:
    if thinks:
        yield {"type": "thinking", "thinking": _THOUGHT, "signature": _SIGNATURE}
    if answer.reply.text:
        yield {"type": "text", "text": answer.reply.text}
    for index, call in enumerate(answer.reply.calls):
        yield {"type": "tool_use", "id": answer.call_id(index), "name": call.name, "input": dict(call.arguments)}


def _head(answer: RehearsalAnswer) -> dict[str, Any]:
    identifier = f"msg_rehearsal_{answer.fingerprint[:12]}"
    return {"id": identifier, "type": "message", "role": "assistant", "model": answer.model}


def _prompt(answer: RehearsalAnswer) -> dict[str, int]:
    counts = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": answer.prompt_tokens, **counts}


def _end(answer: RehearsalAnswer) -> dict[str, Any]:
    return {"stop_reason": "tool_use" if answer.reply.calls else "end_turn", "stop_sequence": None}

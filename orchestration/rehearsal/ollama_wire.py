"""Replies in Ollama's own format: one JSON object, or one in each line of a stream.

The format: https://docs.ollama.com/api.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from orchestration.rehearsal.answer import RehearsalAnswer, arguments_text, in_pieces
from orchestration.rehearsal.conversation import RehearsalToolCall
from orchestration.rehearsal.wire_reply import WireDialect, WireReply, stream_piece, whole

VERSION = "0.33.0-rehearsal"
# Ollama's own default, after which it unloads an idle model: https://docs.ollama.com/faq
_KEPT_LOADED = timedelta(minutes=5)
_DETAILS = {
    "parent_model": "",
    "format": "rehearsal",
    "family": "rehearsal",
    "families": ["rehearsal"],
    "parameter_size": "0",
    "quantization_level": "none",
}


def running() -> WireReply:
    """The answer to `GET /`, by which people and tools see that the server is up."""
    return WireReply(pieces=(b"Ollama ", b"is running"), content_type="text/plain", dialect=WireDialect.OLLAMA)


def version() -> WireReply:
    """The answer to `GET /api/version`."""
    return whole({"version": VERSION}, WireDialect.OLLAMA)


def installed(names: tuple[str, ...], now: datetime) -> WireReply:
    """The answer to `GET /api/tags`: the models on the disk."""
    models = [{**_model(name), "modified_at": now.isoformat()} for name in names]
    return whole({"models": models}, WireDialect.OLLAMA)


def loaded(names: tuple[str, ...], now: datetime) -> WireReply:
    """The answer to `GET /api/ps`: the models in memory; a rehearsal model always is."""
    until = (now + _KEPT_LOADED).isoformat()
    models = [{**_model(name), "expires_at": until, "size_vram": 0, "context_length": 8192} for name in names]
    return whole({"models": models}, WireDialect.OLLAMA)


def chat(answer: RehearsalAnswer) -> WireReply:
    """The answer as one object."""
    return whole({**_line(answer, answer.reply.text, _calls(answer)), **_end(answer)}, WireDialect.OLLAMA)


def stream(answer: RehearsalAnswer, *, pause: float) -> WireReply:
    """The answer line by line, `pause` seconds apart. Ollama sends tool calls whole, and the usage in the last line."""
    return WireReply(
        pieces=tuple(stream_piece(line, WireDialect.OLLAMA) for line in _lines(answer)),
        content_type="application/x-ndjson",
        dialect=WireDialect.OLLAMA,
        streaming=True,
        pause=pause,
    )


def _lines(answer: RehearsalAnswer) -> Iterator[dict[str, Any]]:
    for piece in in_pieces(answer.reply.text):
        yield {**_line(answer, piece), "done": False}
    if answer.reply.calls:
        yield {**_line(answer, "", _calls(answer)), "done": False}
    yield {**_line(answer, ""), **_end(answer)}


def _line(answer: RehearsalAnswer, text: str, calls: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = calls
    return {"model": answer.model, "created_at": answer.at.isoformat(), "message": message}


def _calls(answer: RehearsalAnswer) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"id": answer.call_id(index), "function": {"index": index, **_function(answer, call)}}
        for index, call in enumerate(answer.reply.calls)
    )


def _function(answer: RehearsalAnswer, call: RehearsalToolCall) -> dict[str, Any]:
    broken = answer.reply.broken_calls
    # Ollama sends arguments as an object. Only as text can they be invalid JSON inside a line that is valid.
    return {"name": call.name, "arguments": arguments_text(answer.reply, call) if broken else dict(call.arguments)}


def _end(answer: RehearsalAnswer) -> dict[str, Any]:
    """Counts and durations (nanoseconds); a rehearsal takes no measurable time."""
    return {
        "done": True,
        # Ollama has no reason of its own for tool calls; only its `/v1` paths translate this one to `tool_calls`.
        "done_reason": "stop",
        "total_duration": 1,
        "load_duration": 1,
        "prompt_eval_count": answer.prompt_tokens,
        "prompt_eval_duration": 1,
        "eval_count": answer.completion_tokens,
        "eval_duration": 1,
    }


def _model(name: str) -> dict[str, Any]:
    # Ollama adds the tag `latest` to a name without one, and its lists always show it.
    tagged = f"{name}:latest"
    return {"name": tagged, "model": tagged, "size": 0, "digest": "0" * 64, "details": _DETAILS}

"""Completions in OpenAI's wire format: whole, as the chunks of a stream, and as lines of server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.ids import new_id
from orchestration.providers.wire import Completion

# Ends every stream: clients read until they see it.
END_OF_STREAM = "data: [DONE]\n\n"


def completion_body(completion: Completion, now: int) -> dict[str, Any]:
    """A whole completion."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, **completion.message},
        "finish_reason": completion.finish_reason,
        "logprobs": None,
    }
    return {
        "id": new_id("chatcmpl", now),
        "object": "chat.completion",
        "created": now,
        "model": str(completion.route),
        "choices": [choice],
        "usage": _usage(completion),
        **({"rehearsal": True} if completion.rehearsal else {}),
    }


def completion_chunks(completion: Completion, now: int, *, usage: bool) -> Iterator[dict[str, Any]]:
    """A whole completion as the chunks of a stream."""
    common = {**chunk_header(now), "model": str(completion.route)}
    delta = {"role": "assistant", **completion.message}
    if calls := delta.get("tool_calls"):
        # Clients merge the parts of a tool call by `index`, which only streams have.
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    yield {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": completion.finish_reason}]}
    if usage:
        yield {**common, "choices": [], "usage": _usage(completion)}


def chunk_header(now: int) -> dict[str, Any]:
    """The fields that all chunks of one stream have in common."""
    return {"id": new_id("chatcmpl", now), "object": "chat.completion.chunk", "created": now}


def event_line(chunk: Mapping[str, Any]) -> str:
    """A chunk as a server-sent event."""
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"


def completion_headers(completion: Completion) -> dict[str, str]:
    """The headers that say which route answered, and after how many attempts."""
    headers = {"X-Orchestrator-Route": str(completion.route), "X-Orchestrator-Tries": str(len(completion.tries))}
    return headers | ({"X-Rehearsal": "true"} if completion.rehearsal else {})


def _usage(completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    cached = {"prompt_tokens_details": {"cached_tokens": usage.cached_tokens}} if usage.cached_tokens else {}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
        **cached,
    }

"""Reads and validates chat requests. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.models import AUTO

# Fields that the endpoint handles itself, or that only mean something to OpenAI (`user`, `store`, `metadata`):
# providers that imitate OpenAI's API answer unknown fields with 400.
_NOT_FORWARDED = frozenset({"model", "stream", "stream_options", "user", "store", "metadata"})
_MAX_MODEL_LENGTH = 200
_MAX_COUNT = 10**9


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid request. `usage` means that a stream ends with the token usage, `whole` that a stream is held back until
    it is complete, `only` that there is no fallback."""

    body: Mapping[str, Any]
    model: str
    stream: bool
    usage: bool
    whole: bool
    only: bool


def parse_request(body: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """The request in an HTTP body. Raises BadRequestError."""
    data = _parse_object(body)
    model = data.get("model", AUTO)
    _check_messages(data.get("messages"))
    _check_model(model)
    if data.get("n", 1) not in (1, None):
        raise BadRequestError("`n` must be 1. To get several answers, send several requests.")
    # `max_completion_tokens` replaces `max_tokens` for OpenAI's newer models; other providers know the older name only.
    for name in ("max_tokens", "max_completion_tokens"):
        if not _is_count(data.get(name)):
            raise BadRequestError(f"`{name}` must be a positive whole number.")
    options = data.get("stream_options")
    return ChatRequest(
        body={name: value for name, value in data.items() if name not in _NOT_FORWARDED and value is not None},
        model=model,
        stream=data.get("stream") is True,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
        whole=headers.get("x-orchestrator-stream", "").lower() == "whole",
        only=headers.get("x-orchestrator-only", "").lower() == "true",
    )


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):  # deep nesting exhausts the parser's stack
        raise BadRequestError("The request is not valid JSON.") from None
    if not isinstance(data, dict):
        raise BadRequestError("The request must be a JSON object.")
    return data


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise BadRequestError("`messages` must be a list of one or more messages.")


def _check_model(model: object) -> None:
    if not isinstance(model, str) or not 0 < len(model) <= _MAX_MODEL_LENGTH or not model.isprintable():
        raise BadRequestError("`model` must be `auto`, PROVIDER/MODEL or the name of a model.")


def _is_count(value: object) -> bool:
    # `bool` is a subclass of `int`, so `true` would pass as 1.
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAX_COUNT)

"""Reads and validates chat requests. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from orchestration.providers.dialects.surrogates import sound_value
from orchestration.web.gateway.completions import ChatDialect
from orchestration.web.gateway.dialect import ModelRequest, routing_headers
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.models import AUTO

# Fields that the endpoint handles itself, or that only mean something to OpenAI (`user`, `store`, `metadata`):
# providers that imitate OpenAI's API answer unknown fields with 400.
_NOT_FORWARDED = frozenset({"model", "stream", "stream_options", "user", "store", "metadata"})
_MAX_MODEL_LENGTH = 200
_MAX_COUNT = 10**9
# Deeper than any schema of a tool, and not so deep that anything here would run out of stack.
_MAX_DEPTH = 100
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_request(body: bytes, headers: Mapping[str, str], deployment: str | None = None) -> ModelRequest:
    """The request in an HTTP body; `deployment` is the model in an address of Azure's kind. Raises BadRequestError."""
    data = parse_object(body)
    model = deployment or data.get("model", AUTO)
    _check_messages(data.get("messages"))
    check_model(model)
    if data.get("n", 1) not in (1, None):
        raise BadRequestError("`n` must be 1. To get several answers, send several requests.")
    # `max_completion_tokens` replaces `max_tokens` for OpenAI's newer models; other providers know the older name only.
    for name in ("max_tokens", "max_completion_tokens"):
        if not is_count(data.get(name)):
            raise BadRequestError(f"`{name}` must be a positive whole number.")
    options = data.get("stream_options")
    return ModelRequest(
        body={name: value for name, value in data.items() if name not in _NOT_FORWARDED and value is not None},
        model=model,
        stream=data.get("stream") is True,
        dialect=ChatDialect(isinstance(options, dict) and options.get("include_usage") is True),
        routing=routing_headers(headers),
    )


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body, in a form that every provider can be sent. Raises BadRequestError."""
    try:
        data = _DECODER.decode(body.decode(json.detect_encoding(body)))
    except (ValueError, RecursionError):  # deep nesting exhausts the parser's stack
        raise BadRequestError("The request is not valid JSON.") from None
    if not isinstance(data, dict):
        raise BadRequestError("The request must be a JSON object.")
    if body.count(b"[") + body.count(b"{") > _MAX_DEPTH and _is_deeper(data, _MAX_DEPTH):
        raise BadRequestError(f"The request must not be nested more than {_MAX_DEPTH} levels deep.")
    # Clients cut texts between the halves of a character. Without its other half it has no encoding.
    return sound_value(data) if _HALF_CHARACTER.search(body) else data


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


# Made once: `json.loads` makes a new one for every document that is not read in the usual way.
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a value is nested more deeply; without recursion, whose stack it may exhaust."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for one in layer
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise BadRequestError("`messages` must be a list of one or more messages.")


def check_model(model: object) -> None:
    """Raise BadRequestError for what cannot be the name of a model."""
    if not isinstance(model, str) or not 0 < len(model) <= _MAX_MODEL_LENGTH or not model.isprintable():
        raise BadRequestError("`model` must be `auto`, PROVIDER/MODEL or the name of a model.")


def is_count(value: object) -> bool:
    """Whether a number of tokens is a positive whole number, or missing."""
    # `bool` is a subclass of `int`, so `true` would pass as 1.
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAX_COUNT)

"""Refusals in the shape that the client of an address reads, before its request is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from orchestration.web.gateway.addresses import speaks_messages, speaks_ollama
from orchestration.web.gateway.errors import openai_refusal
from orchestration.web.gateway.json_bytes import JsonResponse
from orchestration.web.gateway.messages.errors import messages_refusal
from orchestration.web.gateway.ollama.answer import ollama_refusal


def refusal_response(
    path: str, asked: Mapping[str, str], status: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The response to a request for this path with these headers that is refused before it is read."""
    return JsonResponse(_shape(path, asked)(status, message), status, headers)


def _shape(path: str, asked: Mapping[str, str]) -> Callable[[int, str], dict[str, Any]]:
    if speaks_ollama(path):
        return ollama_refusal
    return messages_refusal if speaks_messages(path, asked) else openai_refusal

"""Errors in the shapes in which vendors put them, also under status 200. Pure.

OpenAI: `{"error": {"message", "type", "code"}}`; Ollama: `{"error": "text"}`; Anthropic: `{"type": "error", "error":
{…}}`; Google puts the object into a list; vLLM and FastChat: `{"object": "error", "message", "code"}`; FastAPI:
`{"detail": …}`; MiniMax: `{"base_resp": {"status_code", "status_msg"}}` beside an answer; Cloudflare: `{"success":
false, "errors": […]}`; SiliconFlow and others: `{"code", "message"}`; OpenRouter: an error within the choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Error = Mapping[str, Any]
_NO_ERROR: Error = {}
# The names that Google and Anthropic use in the place of a status.
_STATUS_OF_NAME = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500,
    "timeout_error": 504, "overloaded_error": 529, "rate_limit_exceeded": 429, "insufficient_quota": 429,
    "invalid_api_key": 401,
}  # fmt: skip
_STATUSES = range(400, 600)
_WORDS = ("code", "type", "status", "status_code", "param")


def error_of(body: bytes) -> Error:
    """The error object of an answer that is one by its status; an empty one if there is none to be found."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return _NO_ERROR
    found = error_in(data)
    if found is not None:
        return found
    if not isinstance(data, dict):
        return _NO_ERROR
    # Azure's front, AWS and others: the object itself, under names of their own.
    message = data.get("message") or data.get("Message") or data.get("detail") or data.get("title")
    return _with_plain_words({**data, "message": _text(message)}) if message else _NO_ERROR


def error_in(data: Any) -> Error | None:
    """The error in a document of status 200; None if it is none, whatever else it may be."""
    found = _found_in(data)
    return None if found is None else _with_plain_words(found)


def _with_plain_words(error: Error) -> Error:
    """The error with text in the place of a list or an object where every vendor has a word or a number: callers look
    these up in tables."""
    odd = {name: _text(error[name]) for name in _WORDS if isinstance(error.get(name), list | dict)}
    return {**error, **odd} if odd else error


def _found_in(data: Any) -> Error | None:
    if isinstance(data, list) and data:
        return _found_in(data[0])
    if not isinstance(data, dict):
        return None
    if (error := data.get("error")) and not _is_empty_error(error):
        return _object(error, data)
    if (found := _in_choice(data)) is not None:
        return found
    if data.get("choices"):
        return None
    if data.get("object") == "error" or data.get("type") == "error":
        return data
    if (reply := data.get("base_resp")) and isinstance(reply, dict) and reply.get("status_code"):
        return {"message": _text(reply.get("status_msg")), "code": reply["status_code"]}
    return _of_unlike_answers(data)


def status_in(error: Error) -> int | None:
    """The status that an error itself names, as a number or as one of the usual names."""
    for name in ("status", "code", "type", "status_code"):
        value = error.get(name)
        if isinstance(value, str) and value in _STATUS_OF_NAME:
            return _STATUS_OF_NAME[value]
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        if isinstance(number, int) and not isinstance(number, bool) and number in _STATUSES:
            return number
    return None


def _in_choice(data: Mapping[str, Any]) -> Error | None:
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    if error := choice.get("error"):
        return _object(error, choice)
    return {"message": "the server broke the answer off"} if choice.get("finish_reason") == "error" else None


def _of_unlike_answers(data: Mapping[str, Any]) -> Error | None:
    """The error in a document that is no answer: it has a text that says what is wrong, and no choices."""
    if "choices" in data:
        return None
    errors = data.get("errors")
    if isinstance(errors, list) and errors:
        return _object(errors[0], data)
    message = data.get("detail") or (data.get("message") if "code" in data or "status" in data else None)
    return {**data, "message": _text(message)} if message else None


def _object(error: Any, around: Mapping[str, Any]) -> Error:
    if isinstance(error, dict):
        return {**error, "message": _text(error.get("message") or error)}
    # `{"error": "Unauthorized", "message": "…", "code": 401}`: the details are beside it.
    beside = {name: around[name] for name in ("code", "type", "status") if name in around}
    text = _text(error)
    return {**beside, "message": _text(around.get("message") or text) if text in ("", "True") else text}


def _is_empty_error(error: Any) -> bool:
    """Whether an `error` says that there is none, as some servers send with every chunk."""
    return isinstance(error, dict) and error.get("code") in (None, 0, "0", "") and not error.get("message")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str) if value else ""

"""Servers that can do less, or are stricter, than OpenAI's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.slips.behaviours.base import NULL_CONTENT, Behaviour, Rule
from benchmarks.slips.behaviours.odd_calls import arguments
from benchmarks.slips.behaviours.talk import _always, words
from benchmarks.slips.behaviours.text_tools import TEXT_FORMS, as_text
from benchmarks.slips.wire import Body, Reply, refusal


def refuses(
    condition: Callable[[Body], bool], message: str, code: str = "invalid_request_error", status: int = 400
) -> Rule:
    """Answer some requests with an error."""
    return lambda body: refusal(message, status=status, code=code) if condition(body) else None


def _format(body: Body) -> str:
    return str((body.get("response_format") or {}).get("type", ""))


def _assistants(body: Body) -> list[Mapping[str, Any]]:
    return [message for message in body["messages"] if message["role"] == "assistant"]


def _has_broken_arguments(body: Body) -> bool:
    calls = [call for message in _assistants(body) for call in message.get("tool_calls") or ()]
    return any(not _is_json_object(call["function"]["arguments"]) for call in calls)


def _is_json_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def servers() -> Iterator[Behaviour]:
    """Servers that can do less, or are stricter, than OpenAI's own."""
    bare = as_text(TEXT_FORMS["bare JSON"][1])
    no_tools = refuses(lambda body: bool(body.get("tools")), "scripted does not support tools")
    no_schema = refuses(lambda body: _format(body) == "json_schema", "response_format type json_schema is unavailable")
    no_format = refuses(lambda body: bool(_format(body)), "response_format is not supported")
    no_null = refuses(
        lambda body: any(message.get("content") is None for message in _assistants(body)),
        "invalid message content type: <nil>",
    )
    yield Behaviour("server: no tools", "Ollama's models without tools", rule=no_tools, change=bare)
    yield Behaviour("server: no json_schema", "deepseek's API", rule=no_schema, change=words("Sure!"), first=1)
    yield Behaviour("server: no response_format", "older llama.cpp", rule=no_format, change=words("Sure!"), first=1)
    yield Behaviour("server: no null content", NULL_CONTENT, rule=no_null)
    yield Behaviour(
        "server: no null content after an empty answer",
        NULL_CONTENT,
        rule=no_null,
        change=lambda _r, _s: Reply(None),
        first=1,
    )
    yield Behaviour(
        "server: refuses broken arguments sent back",
        "Ollama's /v1",
        rule=refuses(_has_broken_arguments, "unexpected end of JSON input"),
        change=arguments(lambda text: text[: len(text) // 2]),
        first=1,
    )
    yield Behaviour(
        "server: no stream_options",
        "older vLLM and proxies",
        rule=refuses(lambda body: "stream_options" in body, "unknown field stream_options"),
        streamed=True,
    )
    yield Behaviour(
        "server: refuses fields it does not know in messages",
        "Groq's and Mistral's APIs",
        rule=refuses(
            lambda body: any(set(message) & {"reasoning_content", "refusal"} for message in _assistants(body)),
            "property is unsupported",
        ),
        change=lambda reply, _: replace(reply, extra={"reasoning_content": "First I read."}),
    )
    yield Behaviour(
        "server: context of 8,000 tokens",
        "OpenAI's context_length_exceeded",
        rule=refuses(
            lambda body: len(json.dumps(body["messages"])) > 32_000,
            "This model's maximum context length is 8000 tokens. However, your messages resulted in more.",
            "context_length_exceeded",
        ),
        change=_always("read_file", path="big.txt"),
        first=1,
        big_file=True,
    )

"""Requests in the chat format as requests of OpenAI's Responses API. Pure.

https://developers.openai.com/api/reference/resources/responses/methods/create. Nothing is kept at the vendor: each
request holds the whole conversation, with the thoughts in it as the vendor has encrypted them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestration.providers.translation import Translation, Treatment, UntranslatableError
from orchestration.providers.wire import OUTPUT_OUTLINE

_KEPT, _IGNORED, _REFUSED = Treatment.TRANSLATED, Treatment.IGNORED, Treatment.REFUSED
CHAT_FIELDS = (
    Translation("messages", _KEPT, "sounds are refused"),
    Translation("max_tokens", _KEPT, "`max_output_tokens`, 16 at least, as the API demands"),
    Translation("max_completion_tokens", _KEPT, "the same"),
    Translation("temperature", _KEPT),
    Translation("top_p", _KEPT),
    Translation("tools", _KEPT, "functions; strict only where the request says so, unlike the API's own default"),
    Translation("tool_choice", _KEPT),
    Translation("parallel_tool_calls", _KEPT),
    Translation("response_format", _KEPT, "`text.format`"),
    Translation("reasoning_effort", _KEPT, "`reasoning.effort`"),
    Translation("verbosity", _KEPT, "`text.verbosity`"),
    Translation("prompt_cache_key", _KEPT),
    Translation("metadata", _KEPT),
    Translation("service_tier", _KEPT),
    Translation("store", _KEPT, "false unless the request says otherwise"),
    Translation("user", _KEPT),
    Translation("safety_identifier", _KEPT),
    Translation("seed", _IGNORED),
    Translation("frequency_penalty", _IGNORED),
    Translation("presence_penalty", _IGNORED),
    Translation("logit_bias", _IGNORED),
    Translation("stop", _REFUSED),
    Translation("logprobs", _REFUSED),
    Translation("top_logprobs", _REFUSED),
    Translation("audio", _REFUSED),
    Translation("prediction", _REFUSED),
    Translation("functions", _REFUSED, "use `tools`"),
    Translation("web_search_options", _REFUSED),
)
"""What becomes of each field of the chat format."""
ENCRYPTED_THOUGHTS = "reasoning.encrypted_content"
SEPARATOR = "\n\n"
"""What stands between two texts of one answer in the chat format, which has one text alone."""
_NO_COUNTERPART = tuple(one.name for one in CHAT_FIELDS if one.treatment is _REFUSED)
_AS_IT_IS = (
    *("temperature", "top_p", "parallel_tool_calls", "prompt_cache_key", "metadata", "service_tier", "user"),
    *("safety_identifier", "prompt_cache_retention", "truncation"),
)
_THOUGHT = "reasoning"
# "Expected a value >= 16", says the vendor.
_LEAST_ANSWER = 16


def responses_request(body: Mapping[str, Any], *, encrypted: bool) -> dict[str, Any]:
    """The request without its model. `encrypted`: the thoughts are asked for, to be sent back.

    Raises UntranslatableError; and AttributeError, KeyError, TypeError or ValueError for what is no chat request.
    """
    for name in _NO_COUNTERPART:
        if body.get(name):
            raise UntranslatableError(f"`{name}` is not supported by the Responses API")
    request: dict[str, Any] = {
        "input": [item for message in body["messages"] for item in _items(message)],
        "store": bool(body.get("store")),
        **{name: body[name] for name in _AS_IT_IS if body.get(name) is not None},
        **_tools(body),
    }
    if (most := longest_answer(body)) is not None:
        request["max_output_tokens"] = most
    # A configuration may set these in the vendor's own form for a model.
    effort = {"effort": body["reasoning_effort"]} if body.get("reasoning_effort") else {}
    include = dict.fromkeys([*([ENCRYPTED_THOUGHTS] if encrypted else []), *body.get("include", ())])
    parts = {"text": _text(body), "reasoning": effort | body.get("reasoning", {}), "include": list(include)}
    return request | {name: value for name, value in parts.items() if value}


def longest_answer(body: Mapping[str, Any]) -> int | None:
    """How many tokens the request permits an answer to have; None if it sets no limit."""
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    return max(_LEAST_ANSWER, most) if most else None


def _text(body: Mapping[str, Any]) -> dict[str, Any]:
    """How the answer is to be written."""
    found: dict[str, Any] = {"verbosity": body["verbosity"]} if body.get("verbosity") else {}
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        schema = form["json_schema"]
        found["format"] = {"type": "json_schema", "schema": schema.get("schema") or {"type": "object"}}
        found["format"] |= {name: schema[name] for name in ("name", "strict", "description") if name in schema}
    elif form:
        found["format"] = {"type": form["type"]}
    return {**found, **body.get("text", {})}


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    if not body.get("tools"):
        return {}
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in body["tools"]]}
    if (choice := body.get("tool_choice")) is not None:
        named = isinstance(choice, Mapping)
        found["tool_choice"] = {"type": "function", "name": choice["function"]["name"]} if named else choice
    return found


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type", "function") != "function":
        raise UntranslatableError(f"a tool of the type {tool.get('type')} is not supported by the Responses API here")
    function = tool["function"]
    described = {"description": function["description"]} if function.get("description") else {}
    # Without this the API makes a schema strict, and every optional argument of a tool would have to be given.
    strict = bool(function.get("strict"))
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    return {"type": "function", "name": function["name"], **described, "parameters": parameters, "strict": strict}


def _items(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match message["role"]:
        case "assistant":
            yield from _answer(message)
        case "tool":
            output = _content(message.get("content"))
            yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": output}
        case role:
            yield {"type": "message", "role": role, "content": _content(message.get("content"))}


def _content(content: Any) -> str | list[dict[str, Any]]:
    return content or "" if content is None or isinstance(content, str) else [_part(part) for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "text":
            return {"type": "input_text", "text": part["text"]}
        case "image_url":
            image = part["image_url"]
            return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}
        case "file":
            names = ("filename", "file_data", "file_id")
            return {"type": "input_file", **{name: part["file"][name] for name in names if part["file"].get(name)}}
        case other:
            raise UntranslatableError(f"a part of the type {other} is not supported by the Responses API")


def _answer(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An earlier answer: as its outline says, if that still fits, and otherwise what was said before what was called.

    A thought without what followed it is refused, and so is one that we cannot send as it came.
    """
    text = _said(message)
    calls = {call["id"]: _call(call) for call in message.get("tool_calls") or ()}
    outline = message.get(OUTPUT_OUTLINE)
    if isinstance(outline, list) and _fits(outline, text, calls):
        yield from _outlined(outline, text, calls)
        return
    if text:
        yield {"type": "message", "role": "assistant", "content": text}
    yield from calls.values()


def _said(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = [content] if isinstance(content, str) else [part.get("text") or "" for part in content or ()]
    return "".join([*parts, message.get("refusal") or ""])


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    return {"type": "function_call", "call_id": call["id"], "name": function["name"], "arguments": arguments}


def _fits(outline: Sequence[Any], text: str, calls: Mapping[str, Any]) -> bool:
    """Whether the outline is of this very answer: a client may have changed either."""
    if not outline or not all(isinstance(entry, Mapping) for entry in outline):
        return False
    said = [entry.get("characters") for entry in outline if entry.get("type") == "message"]
    called = [entry.get("call_id") for entry in outline if entry.get("type") == "function_call"]
    sizes = [size for size in said if isinstance(size, int) and size > 0]
    if len(sizes) < len(said) or outline[-1].get("type") == _THOUGHT:
        return False
    return called == list(calls) and sum(sizes) + len(SEPARATOR) * max(0, len(sizes) - 1) == len(text)


def _outlined(
    outline: Sequence[Mapping[str, Any]], text: str, calls: Mapping[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    at = 0
    for entry in outline:
        match entry["type"]:
            case "message":
                size = entry["characters"]
                phase = {"phase": entry["phase"]} if entry.get("phase") else {}
                yield {"type": "message", "role": "assistant", "content": text[at : at + size], **phase}
                at += size + len(SEPARATOR)
            case "function_call":
                yield calls[entry["call_id"]]
            case kind if kind == _THOUGHT:
                yield dict(entry)

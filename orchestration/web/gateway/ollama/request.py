"""Reads and validates requests of Ollama's API: https://docs.ollama.com/api/chat and /api/generate. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.providers.translation import Treatment, by_name
from orchestration.web.gateway.dialect import ModelRequest, routing_headers
from orchestration.web.gateway.embeddings import EmbeddingsRequest, embeddings_request
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.fields import as_list, as_number, as_object, as_text, objects, text_in
from orchestration.web.gateway.ollama.answer import OllamaDialect
from orchestration.web.gateway.ollama.fields import GENERATE, REQUEST
from orchestration.web.gateway.requests import check_model, parse_object

_REFUSED = {name for name, one in by_name((*REQUEST, *GENERATE)).items() if one is Treatment.REFUSED}
_NUMBERS = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")
_ROLES = ("user", "assistant", "system", "tool")
_OPTIONAL = frozenset({"max_tokens", "reasoning_effort"})
# An image comes without its type; the beginning of its base64 tells.
_IMAGES = {"/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def parse_chat(body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """A request for `/api/chat`. Raises BadRequestError."""
    data = _checked(parse_object(body))
    if not as_list(data.get("messages"), "messages"):
        raise BadRequestError("`messages` must have at least one message.")
    return _request(data, list(_messages(data["messages"])), headers, generates=False)


def parse_generate(body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """A request for `/api/generate`. Raises BadRequestError."""
    data = _checked(parse_object(body))
    system = as_text(data.get("system", ""), "system")
    messages = [{"role": "system", "content": system}] if system else []
    prompt = {"role": "user", "content": text_in(data, "prompt", "the request"), "images": data.get("images")}
    return _request(data, [*messages, *_messages([prompt])], headers, generates=True)


def parse_embed(body: bytes, headers: Mapping[str, str]) -> EmbeddingsRequest:
    """A request for `/api/embed`. Raises BadRequestError."""
    data = _checked(parse_object(body))
    kept: dict[str, Any] = {name: data[name] for name in ("model", "input", "dimensions") if name in data}
    return embeddings_request(kept, headers)


def _checked(data: Mapping[str, Any]) -> dict[str, Any]:
    check_model(data.get("model"))
    for name in sorted(_REFUSED & data.keys()):
        if data[name]:
            raise BadRequestError(f"`{name}` cannot be used through this gateway.")
    return {name: value for name, value in data.items() if value is not None}


def _request(
    data: Mapping[str, Any], messages: list[dict[str, Any]], headers: Mapping[str, str], *, generates: bool
) -> ModelRequest:
    chat = {"messages": messages, **_options(as_object(data.get("options", {}), "options"))}
    if data.get("tools"):
        chat["tools"] = [_tool(tool, place) for place, tool in objects(data["tools"], "tools")]
    return ModelRequest(
        body=chat | _form(data.get("format")) | _effort(data.get("think")),
        model=str(data["model"]),
        stream=data.get("stream") is not False,
        dialect=OllamaDialect(generates),
        routing=routing_headers(headers),
        optional=_OPTIONAL,
    )


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    chat = {name: as_number(options[name], f"options.{name}") for name in _NUMBERS if options.get(name) is not None}
    if (most := options.get("num_predict")) is not None and as_number(most, "options.num_predict") > 0:
        chat["max_tokens"] = int(most)
    stops = options.get("stop") or []
    if stops := [stops] if isinstance(stops, str) else as_list(stops, "options.stop"):
        return {**chat, "stop": [as_text(stop, f"options.stop.{place}") for place, stop in enumerate(stops)]}
    return chat


def _form(form: object) -> dict[str, Any]:
    if not form:
        return {}
    if form == "json":
        return {"response_format": {"type": "json_object"}}
    schema = as_object(form, "format")
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}


def _effort(think: object) -> dict[str, Any]:
    if think is None:
        return {}
    if isinstance(think, bool):
        return {"reasoning_effort": "medium" if think else "none"}
    return {"reasoning_effort": as_text(think, "think")}


def _tool(tool: Mapping[str, Any], place: str) -> dict[str, Any]:
    function = as_object(tool.get("function"), f"{place}.function")
    text_in(function, "name", f"{place}.function")
    return {"type": "function", "function": dict(function)}


def _messages(messages: list[Any]) -> Iterator[dict[str, Any]]:
    """The messages. Calls have no identifiers here; results are of the first call of their name that waits for one."""
    waiting: list[tuple[str, str]] = []
    for place, message in objects(messages, "messages"):
        role = message.get("role")
        if role not in _ROLES:
            raise BadRequestError(f"`{place}.role` must be one of {', '.join(_ROLES)}.")
        changed: dict[str, Any] = {"role": role, "content": _content(message, place)}
        if message.get("tool_calls"):
            changed["tool_calls"] = list(_calls(message["tool_calls"], place))
            waiting = [(call["id"], call["function"]["name"]) for call in changed["tool_calls"]]
        if role == "tool":
            name = message.get("tool_name") or message.get("name")
            found = next((call for call in waiting if call[1] == name), waiting[0] if waiting else None)
            if found is None:
                raise BadRequestError(f"`{place}` is the result of a tool that was not called.")
            waiting.remove(found)
            changed["tool_call_id"] = found[0]
        yield changed


def _content(message: Mapping[str, Any], place: str) -> str | list[dict[str, Any]]:
    text = as_text(message.get("content") or "", f"{place}.content")
    images = as_list(message.get("images") or [], f"{place}.images")
    if not images:
        return text
    urls = [_image(as_text(image, f"{place}.images.{number}")) for number, image in enumerate(images)]
    parts = [{"type": "text", "text": text}] if text else []
    return [*parts, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]


def _image(data: str) -> str:
    kind = next((kind for start, kind in _IMAGES.items() if data.startswith(start)), "image/png")
    return f"data:{kind};base64,{data}"


def _calls(calls: object, place: str) -> Iterator[dict[str, Any]]:
    for where, call in objects(calls, f"{place}.tool_calls"):
        function = as_object(call.get("function"), f"{where}.function")
        arguments = json.dumps(as_object(function.get("arguments", {}), f"{where}.function.arguments"))
        named = {"name": text_in(function, "name", f"{where}.function"), "arguments": arguments}
        yield {"id": f"call_{where.replace('.', '_')}", "type": "function", "function": named}

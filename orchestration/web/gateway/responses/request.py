"""Reads and validates requests of the Responses API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.providers.translation import Treatment, by_name
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.fields import as_list, as_number, as_object, as_text, objects, text_in
from orchestration.web.gateway.models import AUTO
from orchestration.web.gateway.requests import check_model, is_count, parse_object
from orchestration.web.gateway.responses.fields import REQUEST
from orchestration.web.gateway.responses.items import ItemReader, input_items

OPTIONAL = frozenset({"max_tokens", "parallel_tool_calls", "reasoning_effort", "verbosity", "prompt_cache_key"})
_TREATMENTS = by_name(REQUEST)
_ENCRYPTED = "reasoning.encrypted_content"
_CHOICES = ("auto", "none", "required")


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A valid request.

    `body` is it in the chat format without the conversation before it, `messages` are those of its own input, and
    `instructions` come before both. `shown` are the fields that the response repeats.
    """

    body: Mapping[str, Any]
    messages: list[dict[str, Any]]
    items: list[Mapping[str, Any]]
    instructions: str
    model: str
    stream: bool
    store: bool
    previous_id: str | None
    summarizes: bool
    encrypts: bool
    shown: Mapping[str, Any]


def parse_responses_request(body: bytes) -> ResponsesRequest:
    """The request in an HTTP body. Raises BadRequestError."""
    data = {name: value for name, value in parse_object(body).items() if value is not None}
    _check_fields(data)
    model = data.get("model", AUTO)
    check_model(model)
    items = input_items(data.get("input"))
    if not items:
        raise BadRequestError("`input` must not be empty.")
    instructions = as_text(data.get("instructions", ""), "instructions")
    previous = data.get("previous_response_id")
    reasoning = as_object(data.get("reasoning", {}), "reasoning")
    return ResponsesRequest(
        body=_chat_fields(data, reasoning),
        messages=ItemReader().messages(items),
        items=items,
        instructions=instructions,
        model=str(model),
        stream=data.get("stream") is True,
        store=data.get("store") is not False,
        previous_id=None if previous is None else as_text(previous, "previous_response_id"),
        summarizes=any(reasoning.get(name) is not None for name in ("summary", "generate_summary")),
        encrypts=_ENCRYPTED in data.get("include", ()),
        shown=_shown(data, reasoning),
    )


def _check_fields(data: Mapping[str, Any]) -> None:
    for name, value in data.items():
        treatment = _TREATMENTS.get(name)
        if treatment is None:
            raise BadRequestError(f"Unknown parameter: `{name}`.")
        if treatment is Treatment.REFUSED and value:
            raise BadRequestError(f"`{name}` cannot be used through this gateway.")
    for place, wanted in enumerate(as_list(data.get("include", []), "include")):
        if wanted != _ENCRYPTED:
            raise BadRequestError(f"`include.{place}` must be `{_ENCRYPTED}`; nothing else can be included.")
    if not is_count(data.get("max_output_tokens")):
        raise BadRequestError("`max_output_tokens` must be a positive whole number.")
    as_object(data.get("metadata", {}), "metadata")


def _chat_fields(data: Mapping[str, Any], reasoning: Mapping[str, Any]) -> dict[str, Any]:
    chat: dict[str, Any] = {name: as_number(data[name], name) for name in ("temperature", "top_p") if name in data}
    if "max_output_tokens" in data:
        chat["max_tokens"] = data["max_output_tokens"]
    if "prompt_cache_key" in data:
        chat["prompt_cache_key"] = as_text(data["prompt_cache_key"], "prompt_cache_key")
    if reasoning.get("effort") is not None:
        chat["reasoning_effort"] = text_in(reasoning, "effort", "reasoning")
    if data.get("tools"):
        chat["tools"] = [_tool(tool, place) for place, tool in objects(data["tools"], "tools")]
        if "tool_choice" in data:
            chat["tool_choice"] = _choice(data["tool_choice"])
        if data.get("parallel_tool_calls") is False:
            chat["parallel_tool_calls"] = False
    return chat | _text(as_object(data.get("text", {}), "text"))


def _tool(tool: Mapping[str, Any], place: str) -> dict[str, Any]:
    kind = tool.get("type")
    if kind != "function":
        raise BadRequestError(f"`{place}`: tools of the type `{kind}` cannot be used through this gateway.")
    kept = {name: tool[name] for name in ("description", "parameters", "strict") if tool.get(name) is not None}
    if "parameters" in kept:
        as_object(kept["parameters"], f"{place}.parameters")
    return {"type": "function", "function": {"name": text_in(tool, "name", place), **kept}}


def _choice(choice: object) -> Any:
    if isinstance(choice, str) and choice in _CHOICES:
        return choice
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": text_in(choice, "name", "tool_choice")}}
    raise BadRequestError("`tool_choice` must be `auto`, `none`, `required` or a function.")


def _text(text: Mapping[str, Any]) -> dict[str, Any]:
    verbosity = {"verbosity": text_in(text, "verbosity", "text")} if text.get("verbosity") is not None else {}
    if text.get("format") is None:
        return verbosity
    form = as_object(text["format"], "text.format")
    match form.get("type"):
        case "text":
            return verbosity
        case "json_object":
            return {**verbosity, "response_format": {"type": "json_object"}}
        case "json_schema":
            named = {"name": form.get("name", "answer"), "schema": as_object(form.get("schema"), "text.format.schema")}
            more = {name: form[name] for name in ("strict", "description") if form.get(name) is not None}
            return {**verbosity, "response_format": {"type": "json_schema", "json_schema": {**named, **more}}}
        case _:
            raise BadRequestError("`text.format.type` must be `text`, `json_object` or `json_schema`.")


def _shown(data: Mapping[str, Any], reasoning: Mapping[str, Any]) -> dict[str, Any]:
    """What a response repeats of its request, with OpenAI's defaults."""
    defaults: dict[str, Any] = {
        "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True,
        "previous_response_id": None, "temperature": 1.0, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "user": None,
    }  # fmt: skip
    shown = {name: data.get(name, default) for name, default in defaults.items()}
    effort = {name: reasoning.get(name) for name in ("effort", "summary")}
    return {**shown, "background": False, "reasoning": effort}

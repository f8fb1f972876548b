"""Reads and validates requests of the Messages API. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from orchestration.providers.dialects.context_window import estimated_tokens
from orchestration.providers.translation import Treatment, by_name
from orchestration.providers.wire import NativeRequest
from orchestration.web.gateway.dialect import ModelRequest, routing_headers
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.fields import as_list, as_number, as_object, as_text, objects, text_in
from orchestration.web.gateway.messages.answer import MessagesDialect
from orchestration.web.gateway.messages.conversation import ConversationReader
from orchestration.web.gateway.messages.fields import REQUEST, TOOLS
from orchestration.web.gateway.requests import check_model, is_count, parse_object

_TREATMENTS = by_name(REQUEST)
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
# The chat format has words for how long to think, and no numbers. Anthropic's least budget is 1,024 tokens.
_LITTLE_THINKING, _SOME_THINKING = 4096, 16_384
_OPTIONAL = frozenset({"max_tokens", "reasoning_effort", "parallel_tool_calls"})
_BETA = "anthropic-beta"


def parse_messages(body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """The request in an HTTP body. Raises BadRequestError."""
    data = parse_object(body)
    if not is_count(data.get("max_tokens")) or data.get("max_tokens") is None:
        raise BadRequestError("`max_tokens` must be a positive whole number.")
    model, reader = _model(data), ConversationReader()
    chat = _translated(data, reader)
    thinks = _thinks(data)
    lost = tuple(dict.fromkeys([*reader.lost, *_only_native(data)]))
    beta = {_BETA: headers[_BETA]} if _BETA in headers else {}
    native = {name: value for name, value in data.items() if name not in ("model", "stream")}
    return ModelRequest(
        body=chat,
        model=model,
        stream=data.get("stream") is True,
        dialect=MessagesDialect(
            shows_thoughts=thinks, prompt_tokens=estimated_tokens(chat), stops=frozenset(chat.get("stop", ()))
        ),
        routing=routing_headers(headers),
        native=NativeRequest(native, beta, lost),
        optional=_OPTIONAL,
    )


def parse_token_count(body: bytes) -> tuple[str, int]:
    """The model of a request to count tokens, and about how many there are. Raises BadRequestError."""
    data = parse_object(body)
    return _model(data), estimated_tokens(_translated({**data, "max_tokens": 1}, ConversationReader()))


def _model(data: Mapping[str, Any]) -> str:
    model = data.get("model")
    check_model(model)
    return str(model)


def _translated(data: Mapping[str, Any], reader: ConversationReader) -> dict[str, Any]:
    """The request in the chat format."""
    if refused := [name for name in data if _TREATMENTS.get(name) is Treatment.REFUSED and data[name]]:
        raise BadRequestError(f"`{refused[0]}` cannot be used through this gateway.")
    chat: dict[str, Any] = {
        "messages": reader.messages(data.get("system"), data.get("messages")),
        "max_tokens": data["max_tokens"],
    }
    for name in ("temperature", "top_p"):
        if data.get(name) is not None:
            chat[name] = as_number(data[name], name)
    if stops := data.get("stop_sequences"):
        chat["stop"] = [
            as_text(stop, f"stop_sequences.{at}") for at, stop in enumerate(as_list(stops, "stop_sequences"))
        ]
    if data.get("tools"):
        chat |= _tools(data["tools"], data.get("tool_choice"))
    return chat | _effort(data) | _form(data)


def _tools(tools: object, choice: object) -> dict[str, Any]:
    offered = [_function(tool, place) for place, tool in objects(tools, "tools") if _is_custom(tool, place)]
    if not offered:
        return {}
    if choice is None:
        return {"tools": offered}
    chosen = as_object(choice, "tool_choice")
    kind = text_in(chosen, "type", "tool_choice")
    if kind == "tool":
        named: Any = {"type": "function", "function": {"name": text_in(chosen, "name", "tool_choice")}}
    elif kind in _CHOICES:
        named = _CHOICES[kind]
    else:
        raise BadRequestError("`tool_choice.type` must be `auto`, `any`, `tool` or `none`.")
    alone = {"parallel_tool_calls": False} if chosen.get("disable_parallel_tool_use") is True else {}
    return {"tools": offered, "tool_choice": named, **alone}


def _is_custom(tool: Mapping[str, Any], place: str) -> bool:
    """Whether a tool is the client's own. Raises BadRequestError for one that would run at Anthropic."""
    kind = tool.get("type") or "custom"
    treatment = next(one.treatment for one in TOOLS if fnmatchcase(as_text(kind, f"{place}.type"), one.name))
    if treatment is Treatment.REFUSED:
        raise BadRequestError(
            f"`{place}`: the tool `{kind}` cannot be used through this gateway: it runs at Anthropic."
        )
    return treatment is Treatment.TRANSLATED


def _function(tool: Mapping[str, Any], place: str) -> dict[str, Any]:
    described = {"description": text_in(tool, "description", place)} if tool.get("description") is not None else {}
    schema = as_object(tool.get("input_schema", {"type": "object"}), f"{place}.input_schema")
    strict = {"strict": True} if tool.get("strict") is True else {}
    function = {"name": text_in(tool, "name", place), **described, "parameters": schema, **strict}
    return {"type": "function", "function": function}


def _thinks(data: Mapping[str, Any]) -> bool:
    thinking = data.get("thinking")
    return thinking is not None and as_object(thinking, "thinking").get("type") in ("enabled", "adaptive")


def _effort(data: Mapping[str, Any]) -> dict[str, Any]:
    """How long to think, in the words of the chat format."""
    config = as_object(data.get("output_config") or {}, "output_config")
    if (effort := config.get("effort")) is not None:
        if not isinstance(effort, str) or effort not in _EFFORTS:
            raise BadRequestError(f"`output_config.effort` must be one of {', '.join(sorted(_EFFORTS))}.")
        return {"reasoning_effort": "high" if effort in ("max", "xhigh") else effort}
    budget = as_object(data.get("thinking") or {}, "thinking").get("budget_tokens")
    if not _thinks(data) or budget is None:
        return {}
    tokens = as_number(budget, "thinking.budget_tokens")
    return {"reasoning_effort": "low" if tokens < _LITTLE_THINKING else "medium" if tokens < _SOME_THINKING else "high"}


def _form(data: Mapping[str, Any]) -> dict[str, Any]:
    """The form of the answer. `output_format` is its name from before it was part of `output_config`."""
    config = as_object(data.get("output_config") or {}, "output_config")
    form = config.get("format") or data.get("output_format")
    if form is None:
        return {}
    wanted = as_object(form, "output_config.format")
    if wanted.get("type") != "json_schema":
        raise BadRequestError("`output_config.format.type` must be `json_schema`.")
    schema = as_object(wanted.get("schema"), "output_config.format.schema")
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}


def _only_native(data: Mapping[str, Any]) -> Iterator[str]:
    """What only Anthropic understands: fields that are not known here, and tools that it describes itself."""
    known = {*_TREATMENTS, "output_format"}
    yield from (f"`{name}`" for name, value in data.items() if name not in known and value is not None)
    for place, tool in objects(data.get("tools") or [], "tools"):
        if not _is_custom(tool, place):
            yield f"the tool `{tool['type']}`"

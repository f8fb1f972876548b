"""Requests in the chat format as requests of Anthropic's Messages API. Pure.

https://platform.claude.com/docs/en/api/messages. What the chat format can ask for and Anthropic cannot is refused, so
that another route is tried; hints that only change how likely words are (`seed`, penalties, `logit_bias`) are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestration.providers.dialects.prompt_cache import CACHE_MARK
from orchestration.providers.translation import Translation, Treatment, UntranslatableError
from orchestration.providers.wire import THINKING_BLOCKS

_KEPT, _IGNORED, _REFUSED = Treatment.TRANSLATED, Treatment.IGNORED, Treatment.REFUSED
CHAT_FIELDS = (
    Translation("messages", _KEPT, "sounds are refused; so are files without their data"),
    Translation("max_tokens", _KEPT, "the API demands one: without it as long as the model can, 32,000 at most"),
    Translation("max_completion_tokens", _KEPT),
    Translation("temperature", _KEPT, "1 at most; left out while the model thinks"),
    Translation("top_p", _KEPT, "without a temperature: newer models take only one of them"),
    Translation("stop", _KEPT),
    Translation("tools", _KEPT, "functions"),
    Translation("tool_choice", _KEPT),
    Translation("parallel_tool_calls", _KEPT),
    Translation("response_format", _KEPT, "`json_schema`; `json_object` is refused, and agents ask in words then"),
    Translation("reasoning_effort", _KEPT, "adaptive thinking, or a budget for models from before it"),
    Translation("seed", _IGNORED),
    Translation("frequency_penalty", _IGNORED),
    Translation("presence_penalty", _IGNORED),
    Translation("logit_bias", _IGNORED),
    Translation("verbosity", _IGNORED),
    Translation("prompt_cache_key", _IGNORED),
    Translation("logprobs", _REFUSED),
    Translation("top_logprobs", _REFUSED),
    Translation("audio", _REFUSED),
    Translation("prediction", _REFUSED),
    Translation("functions", _REFUSED, "use `tools`"),
    Translation("web_search_options", _REFUSED),
)
"""What becomes of each field of the chat format."""
# Fields of Anthropic's own that a configuration may set for a model.
_OWN = (
    *("top_k", "thinking", "metadata", "service_tier", "inference_geo"),
    *("output_config", "context_management", CACHE_MARK),
)
_NO_COUNTERPART = tuple(one.name for one in CHAT_FIELDS if one.treatment is _REFUSED)
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_NO_THINKING = frozenset({"none", "minimal"})
# For models from before adaptive thinking; Anthropic's least is 1,024 tokens.
_BUDGETS = {"low": 2048, "medium": 8192}
_MOST_BUDGET, _LEAST_BUDGET = 16_384, 1024
_PDF = "application/pdf"


def messages_request(body: Mapping[str, Any], most_tokens: int, *, adaptive: bool) -> dict[str, Any]:
    """The request without its model. `most_tokens` is how long an answer may get unless the request says so;
    `adaptive` tells models that choose how long to think from older ones, which get a budget.

    Raises UntranslatableError; and AttributeError, KeyError, TypeError or ValueError for what is no chat request.
    """
    for name in _NO_COUNTERPART:
        if body.get(name):
            raise UntranslatableError(f"`{name}` is not supported by Anthropic's API")
    request: dict[str, Any] = {
        "messages": _turns(body["messages"]),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens") or most_tokens,
    }
    if system := list(_system(body["messages"])):
        request["system"] = system
    if stops := body.get("stop"):
        # It refuses a text of spaces, which would end every answer.
        request["stop_sequences"] = [stop for stop in ([stops] if isinstance(stops, str) else stops) if stop.strip()]
    request |= _tools(body) | _form(body)
    own = {name: body[name] for name in _OWN if body.get(name) is not None}
    request |= _thinking(body, request["max_tokens"], adaptive=adaptive)
    if "output_config" in own and "output_config" in request:
        own["output_config"] = {**request["output_config"], **own["output_config"]}
    request |= own
    return request if "thinking" in request else request | _sampling(body)


def signed_turns(turns: Sequence[Any]) -> list[Any]:
    """The messages of a native request without the thoughts that Anthropic has not signed: it refuses those, and they
    come from other providers."""
    return [_without(turn, _is_unsigned) if isinstance(turn, Mapping) else turn for turn in turns]


def unthought_request(native: Mapping[str, Any]) -> dict[str, Any]:
    """A native request without the thoughts of earlier answers. In the middle of a turn that called tools it also asks
    for no new ones, which are not permitted without the former."""
    turns = [_without(turn, _is_thought) if isinstance(turn, Mapping) else turn for turn in native["messages"]]
    # An answer that was cut off while it thought.
    turns = [turn for turn in turns if not (isinstance(turn, Mapping) and turn.get("content") == [])]
    left_out = {"thinking"} if _answers_tools(turns) else set()
    return {name: value for name, value in native.items() if name not in left_out} | {"messages": turns}


def _answers_tools(turns: Sequence[Any]) -> bool:
    content = turns[-1].get("content") if turns and isinstance(turns[-1], Mapping) else None
    blocks = content if isinstance(content, list) else ()
    return any(isinstance(one, Mapping) and one.get("type") == "tool_result" for one in blocks)


def _without(turn: Mapping[str, Any], unwanted: Callable[[Any], bool]) -> Mapping[str, Any]:
    content = turn.get("content")
    if not isinstance(content, list):
        return turn
    kept = [one for one in content if not unwanted(one)]
    return {**turn, "content": kept} if len(kept) < len(content) else turn


def _is_thought(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") in ("thinking", "redacted_thinking")


def _is_unsigned(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") == "thinking" and not block.get("signature")


def _sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    """Anthropic's temperatures end at 1, and newer models take only one of the two."""
    if body.get("temperature") is not None:
        return {"temperature": min(1.0, body["temperature"])}
    return {"top_p": body["top_p"]} if body.get("top_p") is not None else {}


def _thinking(body: Mapping[str, Any], most: int, *, adaptive: bool) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking. Without its own thoughts in the turn
    that called tools, a model is not allowed to think about the results."""
    effort = body.get("reasoning_effort")
    if effort is None or effort in _NO_THINKING or not _may_think(body["messages"]):
        return {}
    if adaptive:
        config = {"effort": "high" if effort not in _BUDGETS else effort}
        thinking = {"type": "adaptive", "display": "summarized"}
        return {"thinking": thinking, "output_config": {**_form(body).get("output_config", {}), **config}}
    budget = min(_BUDGETS.get(effort, _MOST_BUDGET), most // 2)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}} if budget >= _LEAST_BUDGET else {}


def _may_think(messages: Sequence[Mapping[str, Any]]) -> bool:
    for message in reversed(messages):
        if message.get("role") == "user":
            return True
        if message.get("tool_calls"):
            return bool(message.get(THINKING_BLOCKS))
    return True


def _form(body: Mapping[str, Any]) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/build-with-claude/structured-outputs."""
    form = body.get("response_format")
    if not form or form.get("type") == "text":
        return {}
    if form.get("type") != "json_schema":
        message = f"`response_format` of the type {form.get('type')} is not supported by Anthropic's API"
        raise UntranslatableError(message)
    schema = _closed(form["json_schema"].get("schema") or {"type": "object"})
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _closed(schema: Any) -> Any:
    """A schema whose objects have no other properties, as Anthropic demands it."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {name: _closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        found["additionalProperties"] = False
    return found


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    if not body.get("tools"):
        return {}
    choice = body.get("tool_choice", "auto")
    chosen = {"type": "tool", "name": choice["function"]["name"]} if isinstance(choice, Mapping) else None
    named: dict[str, Any] = chosen or {"type": _CHOICES[choice]}
    if body.get("parallel_tool_calls") is False and named["type"] != "none":
        named["disable_parallel_tool_use"] = True
    asked = "tool_choice" in body or "disable_parallel_tool_use" in named
    return {"tools": [_tool(tool) for tool in body["tools"]], **({"tool_choice": named} if asked else {})}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type", "function") != "function":
        raise UntranslatableError(f"a tool of the type {tool.get('type')} is not supported by Anthropic's API")
    function = tool["function"]
    schema = {"type": "object", **(function.get("parameters") or {})}
    described = {"description": function["description"]} if function.get("description") else {}
    strict = {"strict": True} if function.get("strict") else {}
    return {"name": function["name"], **described, "input_schema": schema, **strict, **_mark(tool)}


def _system(messages: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        if message["role"] in ("system", "developer"):
            yield from _content(message.get("content"))


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The turns, in which the results of tools are the user's. Turns of one role that follow each other become one."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    last = turns[-1]["content"][-1] if turns else {}
    if turns and turns[-1]["role"] == "assistant" and last["type"] == "text":
        # An answer that is to be continued must not end with a space.
        last["text"] = last["text"].rstrip() or "."
    return turns


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    match message["role"]:
        case "assistant":
            return [*_thoughts(message), *_content(message.get("content")), *_calls(message)]
        case "tool":
            content = list(_content(message.get("content")))
            return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content}]
        case _:
            return list(_content(message.get("content")))


def _thoughts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for block in message.get(THINKING_BLOCKS) or ():
        if block.get("type") == "redacted_thinking":
            yield {"type": "redacted_thinking", "data": block["data"]}
        elif block.get("signature"):
            yield {"type": "thinking", "thinking": block.get("thinking") or "", "signature": block["signature"]}


def _calls(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield {"type": "tool_use", "id": call["id"], "name": function["name"], "input": _object(function)}


def _object(function: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(function.get("arguments") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _content(content: Any) -> Iterator[dict[str, Any]]:
    """The parts of a content; none that is empty, since Anthropic refuses those."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for part in content or ():
        match part["type"]:
            case "text" | "refusal":
                text = part.get("text") or part.get("refusal") or ""
                if text.strip():
                    yield {"type": "text", "text": text, **_mark(part)}
            case "image_url":
                yield {"type": "image", "source": _source(part["image_url"]["url"]), **_mark(part)}
            case "file":
                yield {"type": "document", "source": _source(part["file"].get("file_data") or ""), **_mark(part)}
            case other:
                raise UntranslatableError(f"a part of the type {other} is not supported by Anthropic's API")


def _source(url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        if not url:
            raise UntranslatableError("a file without its data is not supported by Anthropic's API")
        return {"type": "url", "url": url}
    kind, _, data = url.removeprefix("data:").partition(",")
    return {"type": "base64", "media_type": kind.partition(";")[0] or _PDF, "data": data}


def _mark(part: Mapping[str, Any]) -> dict[str, Any]:
    return {CACHE_MARK: part[CACHE_MARK]} if part.get(CACHE_MARK) else {}

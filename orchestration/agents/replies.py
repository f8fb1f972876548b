"""Reading a model's reply: what it says, which tools it calls, and whether it was cut off. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from orchestration.agents.answers import is_answer
from orchestration.agents.text import sound
from orchestration.providers.dialects.call_assembly import as_text
from orchestration.providers.dialects.offered_tools import OfferedTools
from orchestration.providers.dialects.text_calls import TextCalls, find_calls
from orchestration.providers.dialects.thoughts import without_thinking
from orchestration.workflows.model import TextAnswer

# OpenAI refuses longer function names, and what a model invented is sent back with the conversation.
_LONGEST_NAME = 64
_CUT = "length"


@dataclass(frozen=True, slots=True)
class ReplyReading:
    """What a reply means. `message` is in the chat wire format, in the one form that is stored and sent back;
    `as_text`: its tool calls were found in the text; `cut`: it ended at the limit of length."""

    message: dict[str, Any]
    as_text: bool = False
    cut: bool = False


def read_reply(
    message: Mapping[str, Any],
    finish_reason: str,
    tools: Sequence[Mapping[str, Any]],
    output: type[BaseModel],
    number: int,
) -> ReplyReading:
    """Read a reply to a request that offered `tools` and wants `output` in the end. `number` is that of the request in
    its conversation: ids of tool calls are made from it where a server sends none, or the same twice."""
    content, offered = without_thinking(_content(message)), OfferedTools(tools)
    cut = finish_reason == _CUT
    if native := _native(message):
        calls = [_clean_call(call, offered) for call in native]
        return ReplyReading(_assistant(content, _with_ids(calls, number)), cut=cut)
    found = find_calls(content, offered)
    if _is_meant(found, content, output):
        calls = [_call(call.name, _arguments(call.arguments)) for call in found.calls]
        return ReplyReading(_assistant(content, _with_ids(calls, number)), as_text=True, cut=cut)
    return ReplyReading(_assistant(content), cut=cut)


def _is_meant(found: TextCalls, content: str, output: type[BaseModel]) -> bool:
    """Whether calls in a text are to be carried out: not where they are an example in an answer."""
    if not found.calls or found.alone:
        return bool(found.calls)
    if output is TextAnswer:
        return found.marked and content.rstrip().endswith((">", "}", "]"))
    return found.marked or not is_answer(content, output)


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    # A refusal is what the model says in the place of an answer: https://platform.openai.com/docs/guides/structured-outputs.
    said = content or message.get("refusal")
    return said if isinstance(said, str) else ""


def _native(message: Mapping[str, Any]) -> list[Any]:
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return calls
    older = message.get("function_call")
    return [{"function": older}] if isinstance(older, dict) else []


def _clean_call(call: Any, offered: OfferedTools) -> dict[str, Any]:
    given = call if isinstance(call, dict) else {}
    function = given.get("function")
    function = function if isinstance(function, dict) else {}
    raw = str(function.get("name") or "")
    name = offered.name_of(raw)
    arguments = offered.arguments_of(name, function.get("arguments")) if name else None
    clean = _call(
        name or raw[:_LONGEST_NAME], _arguments(function.get("arguments") if arguments is None else arguments)
    )
    return {**clean, "id": str(given.get("id") or "")}


def _call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "", "type": "function", "function": {"name": name, "arguments": arguments}}


def _arguments(value: Any) -> str:
    return as_text(value) if value is not None else "{}"


def _with_ids(calls: Sequence[Mapping[str, Any]], number: int) -> list[dict[str, Any]]:
    """The calls with an id each: the answer to a call has to name it."""
    seen: set[str] = set()
    named = []
    for place, call in enumerate(calls):
        own = call["id"] if call["id"] and call["id"] not in seen else f"call{number:03}{place:02}"
        seen.add(own)
        named.append({**call, "id": own})
    return named


def _assistant(content: str, calls: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    if calls:
        message["tool_calls"] = list(calls)
    return {key: sound(value) for key, value in message.items()}

"""Reading a model's reply: what it says, which tools it calls, and whether it was cut off. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from orchestration.agents.answers import is_answer
from orchestration.providers.dialects.call_assembly import as_text
from orchestration.providers.dialects.json_reader import NotJsonError, read_json
from orchestration.providers.dialects.offered_tools import OfferedTools
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.providers.dialects.text_calls import TextCalls, find_calls
from orchestration.providers.dialects.thoughts import FIELDS, thoughts_alone, without_thinking
from orchestration.providers.dialects.wire_messages import call_text
from orchestration.providers.wire import SEALED_THOUGHTS
from orchestration.workflows.model import ReviewReport, TextAnswer

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
    said, offered = _content(message), OfferedTools(tools)
    content, cut = without_thinking(said), finish_reason == _CUT
    if native := _native(message):
        calls = [clean for call in native for clean in _clean_calls(call, offered)]
        if (answer := _answer_as_call(calls, offered, output)) is not None:
            return ReplyReading(_assistant(answer), cut=cut)
        # With what it has thought before it called: models that seal their thoughts go on thinking only with them.
        sealed = {name: message[name] for name in SEALED_THOUGHTS if _are_sound(message.get(name))}
        return ReplyReading(_assistant(content, _with_ids(calls, number)) | sealed, cut=cut)
    if not content.strip():
        content = _from_thoughts(thoughts_alone(said) or _thoughts(message), offered, output)
    found = find_calls(content, offered)
    if _is_meant(found, content, output):
        calls = [_call(call.name, _arguments(call.arguments)) for call in found.calls]
        return ReplyReading(_assistant(content, _with_ids(calls, number)), as_text=True, cut=cut)
    return ReplyReading(_assistant(content), cut=cut)


def _are_sound(thoughts: Any) -> bool:
    """Whether these are thoughts in parts, which have to go back as they came."""
    listed = isinstance(thoughts, list) and bool(thoughts) and all(isinstance(part, dict) for part in thoughts)
    return listed and sound_value(thoughts) == thoughts


def _answer_as_call(calls: Sequence[Mapping[str, Any]], offered: OfferedTools, output: type[BaseModel]) -> str | None:
    """The answer that a model hands in by a tool for finishing, which other products have and we do not."""
    if len(calls) != 1 or output is TextAnswer or calls[0]["function"]["name"] in offered.parameters:
        return None
    arguments = str(calls[0]["function"]["arguments"])
    return arguments if is_answer(arguments, output) else None


def _thoughts(message: Mapping[str, Any]) -> str:
    found = [message.get(name) for name in FIELDS]
    return next((text for text in found if isinstance(text, str)), "")


def _from_thoughts(thoughts: str, offered: OfferedTools, output: type[BaseModel]) -> str:
    """What a model has put into its thinking in the place of an answer: a call that it ends with, or the whole answer.
    Where there is an answer, what was only thought does not count; and nobody approves in thought."""
    found = find_calls(thoughts, offered)
    if found.calls and (found.alone or (found.marked and thoughts.rstrip().endswith((">", "}", "]")))):
        last = found.calls[-1]
        return call_text(last.name, _arguments(last.arguments))
    whole = output not in (TextAnswer, ReviewReport) and thoughts.lstrip().startswith("{")
    return thoughts if whole and is_answer(thoughts, output) else ""


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


def _clean_calls(call: Any, offered: OfferedTools) -> list[dict[str, Any]]:
    """A call with the name and the arguments that are meant; several where several were packed into one."""
    given = call if isinstance(call, dict) else {}
    function = given.get("function")
    function = function if isinstance(function, dict) else {}
    raw, sent = str(function.get("name") or ""), function.get("arguments")
    identifier = {"id": str(given.get("id") or "")}
    name = offered.name_of(raw)
    if name is None:
        packed = [one for one in _packed(raw, sent) for one in _clean_calls(one, offered)]
        return packed or [{**_call(raw[:_LONGEST_NAME], _arguments(sent)), **identifier}]
    several = offered.several_arguments(name, sent)
    if several:
        return [{**_call(name, _arguments(arguments)), **identifier} for arguments in several]
    arguments = offered.arguments_of(name, sent)
    return [{**_call(name, _arguments(sent if arguments is None else arguments)), **identifier}]


def _packed(name: str, arguments: Any) -> list[dict[str, Any]]:
    """The calls in `multi_tool_use.parallel`, a tool of ChatGPT's that OpenAI's models call where it is not offered."""
    if not name.endswith("parallel"):
        return []
    try:
        values = read_json(arguments) if isinstance(arguments, str) else arguments
    except NotJsonError:
        return []
    uses = values.get("tool_uses") if isinstance(values, dict) else None
    return [
        {"function": {"name": str(use.get("recipient_name")), "arguments": use.get("parameters")}}
        for use in (uses if isinstance(uses, list) else [])
        if isinstance(use, dict) and not str(use.get("recipient_name")).endswith("parallel")
    ]


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
    return {key: sound_value(value) for key, value in message.items()}

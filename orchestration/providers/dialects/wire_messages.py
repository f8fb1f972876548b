"""A conversation as one route understands it. Pure.

Conversations are kept in OpenAI's form. Beside it, a message of the assistant may have the key `as_text`: the model
wrote its calls into the text, and gets their results as text, too; and `thoughts_of`: the route whose sealed thoughts
are in it, and which alone gets them back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestration.providers.dialects.dialect import AnswerForm, Dialect, ToolForm
from orchestration.providers.dialects.offered_tools import OfferedTools
from orchestration.providers.wire import SEALED_THOUGHTS, THOUGHTS_OF

Message = Mapping[str, Any]
# As long as Mistral's API wants them: https://docs.mistral.ai/capabilities/function_calling.
_ID_CHARACTERS = 9
_HOW_TO_CALL = """

You have the tools below. To use one, write a call like this, and then end your answer; the result is given to you next:

<tool_call>
{example}
</tool_call>

The tools, each with the JSON Schema of its arguments:
{tools}
"""


def wire_body(body: Mapping[str, Any], dialect: Dialect, route: str = "") -> dict[str, Any]:
    """The body of a request as the route understands it, which has this name."""
    changed = {name: value for name, value in body.items() if name not in dialect.left_out}
    if dialect.completion_tokens and "max_tokens" in changed:
        changed["max_completion_tokens"] = changed.pop("max_tokens")
    messages: list[Message] = list(_answered_in_kind(body["messages"], dialect, route))
    if dialect.tools is ToolForm.TEXT and changed.get("tools"):
        offered = OfferedTools(changed.pop("tools"))
        changed.pop("tool_choice", None)
        messages = _with_instructions(messages, _described(offered))
    if "response_format" in changed and dialect.answer is not AnswerForm.SCHEMA:
        # The schema itself is in the system prompt.
        changed["response_format"] = {"type": "json_object"}
        if dialect.answer is AnswerForm.WORDS:
            del changed["response_format"]
    if not dialect.system_role:
        messages = _without_system(messages)
    if dialect.merged_roles:
        messages = _merged(messages)
    if dialect.plain_ids:
        messages = [_with_plain_ids(message) for message in messages]
    return {**changed, "messages": messages}


def _answered_in_kind(messages: Sequence[Message], dialect: Dialect, route: str) -> Iterator[dict[str, Any]]:
    """The messages, with calls and results as text where the model wrote them so or knows no other form."""
    as_text: dict[str, str] = {}
    for message in messages:
        role, calls = message["role"], message.get("tool_calls") or ()
        if role == "assistant" and calls and (message.get("as_text") or dialect.tools is ToolForm.TEXT):
            as_text = {call["id"]: call["function"]["name"] for call in calls}
            yield {"role": role, "content": _calls_as_text(message)}
        elif role == "assistant":
            as_text = {}
            yield from _assistant(message, route)
        elif role == "tool" and message["tool_call_id"] in as_text:
            name = as_text[message["tool_call_id"]]
            yield {"role": "user", "content": f"The result of {name}:\n{message['content']}"}
        else:
            yield dict(message)


def _assistant(message: Message, route: str) -> Iterator[dict[str, Any]]:
    """What every server accepts: no null for a text, no empty message, and no arguments that are not JSON."""
    content, calls = message.get("content") or "", message.get("tool_calls")
    if calls:
        sealed = {
            name: message[name] for name in SEALED_THOUGHTS if name in message and message.get(THOUGHTS_OF) == route
        }
        yield {"role": "assistant", "content": content, "tool_calls": [_sound_call(call) for call in calls], **sealed}
    elif content.strip():
        yield {"role": "assistant", "content": content}


def _sound_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call with arguments that are an object. What it really was, the result quotes."""
    function = call["function"]
    return {**call, "function": {**function, "arguments": _object_text(function["arguments"])}}


def _object_text(arguments: str) -> str:
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _calls_as_text(message: Message) -> str:
    if message.get("as_text") and message.get("content"):
        return str(message["content"])
    functions = [call["function"] for call in message["tool_calls"]]
    written = [
        f"<tool_call>\n{call_text(one['name'], _object_text(one['arguments']))}\n</tool_call>" for one in functions
    ]
    return "\n".join([message.get("content") or "", *written]).strip()


def call_text(name: str, arguments: str) -> str:
    """A tool call as text."""
    return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'


def _described(offered: OfferedTools) -> str:
    names = list(offered.parameters)
    tools = "\n".join(
        f"- {name}: {offered.descriptions[name]} {json.dumps(offered.parameters[name], separators=(',', ':'))}"
        for name in names
    )
    return _HOW_TO_CALL.format(example=call_text(names[0], offered.example_of(names[0])), tools=tools)


def _with_instructions(messages: Sequence[Message], text: str) -> list[Message]:
    if messages and messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content'].rstrip()}{text}"}, *messages[1:]]
    return [{"role": "system", "content": text.strip()}, *messages]


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The instructions at the head of the first message of the user."""
    return _merged([{**one, "role": "user"} if one["role"] == "system" else one for one in messages])


def _merged(messages: Iterable[Message]) -> list[Message]:
    """Neighbours of one role as one message; a message with calls of tools is the last of its own."""
    merged: list[Message] = []
    for message in messages:
        before = merged[-1] if merged else None
        open_ = before is not None and not before.get("tool_calls")
        if before is not None and open_ and before["role"] == message["role"] != "tool":
            merged[-1] = {**message, "content": f"{before['content']}\n\n{message['content']}".strip()}
        else:
            merged.append(message)
    return merged


def _with_plain_ids(message: Message) -> Message:
    changed = dict(message)
    if calls := message.get("tool_calls"):
        changed["tool_calls"] = [{**call, "id": _plain_id(call["id"])} for call in calls]
    if answered := message.get("tool_call_id"):
        changed["tool_call_id"] = _plain_id(answered)
    return changed


def _plain_id(text: str) -> str:
    if len(text) == _ID_CHARACTERS and text.isascii() and text.isalnum():
        return text
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARACTERS]

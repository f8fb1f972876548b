"""Making a conversation fit the context of a model. Pure.

What is left out first is what can be had again: the results of older tool calls, then long arguments of older calls,
then older turns altogether. The first message, which is the task, and the last turns stay. A conversation that fits is
not touched, and one that grows is folded in steps, so that a server's cache of its beginning is not lost at every call.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]

# English prose has about four characters to a token, code and JSON three.
CHARACTERS_PER_TOKEN = 3.0
_ANSWER_SHARE = 0.25
_MOST_FOR_ANSWER = 8000
_LAST_KEPT = 6
_STEP = 4
_HEAD, _END = 200, 200
_LONGEST_ARGUMENT = 300
# What servers say of a request that is too long. OpenAI and vLLM: "This model's maximum context length is 8192 tokens";
# llama.cpp: "exceeds the available context size (4096 tokens)"; Mistral: "maximum context length of 32768"; Anthropic:
# "prompt is too long: 210000 tokens > 200000 maximum"; Groq and Azure: "reduce the length of the messages".
_TOO_LONG = re.compile(
    r"(?i)context.{0,12}(?:length|size|window|limit)|prompt is too long|too many tokens|input is too long"
    r"|reduce the length|exceed\w* .{0,40}tokens|maximum.{0,20}tokens"
)
_LIMIT = re.compile(
    r"(?i)(?:context (?:length|size|window|limit)|maximum|limit)\D{0,40}?(\d{3,8})|>\s*(\d{3,8}) maximum"
    r"|(\d{3,8}) tokens?\b"
)
_STATUSES = frozenset({400, 413, 422, 500})


def window_after(message: str, status: int | None, tokens: int, window: int | None) -> int | None:
    """The context to assume after a request of about so many tokens was refused; None if it was refused for something
    else, or if no smaller one makes sense."""
    if status not in _STATUSES or not _TOO_LONG.search(message):
        return None
    named = [int(number) for found in _LIMIT.findall(message) for number in found if number]
    # The smallest number is the limit: the others are what was asked for.
    guess = min((number for number in named if number < 10_000_000), default=int(tokens * 0.7))
    smaller = guess if window is None or guess < window else int(window * 0.7)
    return smaller if smaller >= 1000 else None


def estimated_tokens(body: Mapping[str, Any], per_token: float) -> int:
    """About how many tokens a request has."""
    sizes = sum(map(_size, body["messages"])) + len(json.dumps(body.get("tools") or ""))
    return math.ceil(sizes / per_token)


def folded(body: Mapping[str, Any], window: int, per_token: float = CHARACTERS_PER_TOKEN) -> Mapping[str, Any]:
    """The request with as much left out as is needed to fit, with room for an answer. What cannot be left out may still
    be too long: then the server has the last word."""
    room = window - min(int(window * _ANSWER_SHARE), _MOST_FOR_ANSWER)
    over = estimated_tokens(body, per_token) - room
    if over <= 0:
        return body
    messages = list(body["messages"])
    for shorten in (_shortened_result, _shortened_call):
        for places in _in_steps(messages):
            if _tokens(messages, body, per_token) <= room:
                return {**body, "messages": messages}
            for place in places:
                messages[place] = shorten(messages[place])
    return {**body, "messages": _without_turns(messages, body, room, per_token)}


def _tokens(messages: Sequence[Message], body: Mapping[str, Any], per_token: float) -> int:
    return estimated_tokens({**body, "messages": messages}, per_token)


def _in_steps(messages: Sequence[Message]) -> Iterator[range]:
    first, last = _task_end(messages), max(_task_end(messages), len(messages) - _LAST_KEPT)
    for begin in range(first, last, _STEP):
        yield range(begin, min(begin + _STEP, last))
    yield range(0)


def _task_end(messages: Sequence[Message]) -> int:
    """Where the task ends and the work begins: after the instructions and the first message of the user."""
    user = next((place for place, message in enumerate(messages) if message.get("role") == "user"), -1)
    return user + 1


def _shortened_result(message: Message) -> Message:
    content = message.get("content")
    if message.get("role") not in ("tool", "user") or not isinstance(content, str):
        return message
    left_out = len(content) - _HEAD - _END
    if left_out <= _HEAD:
        return message
    note = f"\n[… {left_out} characters left out to save space; the call can be made again …]\n"
    return {**message, "content": f"{content[:_HEAD]}{note}{content[-_END:]}"}


def _shortened_call(message: Message) -> Message:
    calls = message.get("tool_calls")
    if not calls:
        return message
    return {**message, "tool_calls": [_with_short_arguments(call) for call in calls]}


def _with_short_arguments(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except (ValueError, TypeError, RecursionError):
        return call
    if not isinstance(arguments, dict):
        return call
    short = {name: _short(value) for name, value in arguments.items()}
    return {**call, "function": {**function, "arguments": json.dumps(short, ensure_ascii=False)}}


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_ARGUMENT:
        return f"{value[:_HEAD]}[… {len(value) - _HEAD} characters left out to save space]"
    return value


def _without_turns(messages: Sequence[Message], body: Mapping[str, Any], room: int, per_token: float) -> list[Message]:
    """The task and as many of the last turns as fit. A turn begins with a message of the assistant: a result without
    its call is refused."""
    begin = _task_end(messages)
    turns = [place for place in range(begin, len(messages)) if messages[place].get("role") == "assistant"]
    for place in turns[1:]:
        note = {"role": "user", "content": f"[{place - begin} earlier messages left out to save space]"}
        kept = [*messages[:begin], note, *messages[place:]]
        if place == turns[-1] or _tokens(kept, body, per_token) <= room:
            # Where almost nothing was left out, the note is longer.
            return min(kept, list(messages), key=lambda one: _tokens(one, body, per_token))
    return list(messages)


def _size(message: Message) -> int:
    content = message.get("content")
    said = len(content) if isinstance(content, str) else len(json.dumps(content, default=str)) if content else 0
    calls = message.get("tool_calls")
    return said + (len(json.dumps(calls, default=str)) if calls else 0) + 10

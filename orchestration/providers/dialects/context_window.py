"""Making a conversation fit the context of a model. Pure.

What is left out first is what can be had again: the results of older tool calls, then long arguments of older calls,
then what is too long in the last turns, then older turns altogether. The instructions, the beginning of the task and
the last turn stay. A conversation that fits is not touched, and one that grows is folded in steps, so that a server's
cache of its beginning is not lost at every call.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestration.providers.dialects.prompt_size import text_size

Message = Mapping[str, Any]

# English prose has about four characters to a token, code and JSON three, Chinese and Japanese one, of three bytes.
BYTES_PER_TOKEN = 3.0
_ANSWER_SHARE = 0.25
_MOST_FOR_ANSWER = 8000
_LAST_KEPT = 6
_STEP = 4
_SHORT = 400
_LONGEST_ARGUMENT = 300
# What one result of the last turns may take of the room, in the order in which it is tried.
_RECENT_SHARES = (0.25, 0.1, 0.04, 0.01)
_LEAST_OF_TASK = 1200
_RESULTS = frozenset({"tool", "user"})
_LEFT_OUT = "characters left out to save space"


@dataclass(frozen=True, slots=True)
class FoldedRequest:
    """A request that was made to fit, and how many messages of its history are not in it any more."""

    body: Mapping[str, Any]
    left_out: int = 0


def estimated_tokens(body: Mapping[str, Any], per_token: float = BYTES_PER_TOKEN) -> int:
    """About how many tokens a request has, at so many bytes to a token."""
    return math.ceil((sum(map(size_of, body["messages"])) + _size_beside(body)) / per_token)


def room_for_prompt(body: Mapping[str, Any], window: int) -> int:
    """How many tokens of a context are left for the request when there is room for an answer."""
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    answer = min(int(window * _ANSWER_SHARE), _MOST_FOR_ANSWER)
    # Most servers count the answer that is asked for, whether it gets that long or not.
    return window - min(max(answer, asked if isinstance(asked, int) else 0), window // 2)


def fold(body: Mapping[str, Any], window: int, per_token: float = BYTES_PER_TOKEN) -> FoldedRequest:
    """The request with as much left out as is needed to fit, with room for an answer. What cannot be left out (the
    instructions and the tools) may still be too long: then the server has the last word."""
    draft = _Draft(body, room_for_prompt(body, window), per_token)
    if draft.fits():
        return FoldedRequest(body)
    _shorten_older(draft)
    if not draft.fits():
        _shorten_recent(draft, _RECENT_SHARES[0])
    left_out = 0 if draft.fits() else draft.leave_turns_out()
    for share in _RECENT_SHARES[1:]:
        if not draft.fits():
            _shorten_recent(draft, share)
    if not draft.fits():
        _shorten_task(draft)
    return FoldedRequest({**body, "messages": draft.messages}, left_out)


class _Draft:
    """The messages of a request while they are made to fit."""

    def __init__(self, body: Mapping[str, Any], room: int, per_token: float) -> None:
        self.messages: list[Message] = list(body["messages"])
        self.bytes_of_room = int(room * per_token)
        self._sizes = [size_of(message) for message in self.messages]
        self._used = sum(self._sizes) + _size_beside(body)

    def fits(self) -> bool:
        """Whether it is short enough now."""
        return self._used <= self.bytes_of_room

    @property
    def over(self) -> int:
        """By how many bytes it is too long."""
        return max(0, self._used - self.bytes_of_room)

    @property
    def task_end(self) -> int:
        """Where the task ends and the work begins: with the first turn. A summary of earlier turns is before it."""
        return next(iter(turns_of(self.messages)), len(self.messages))

    def replace(self, place: int, message: Message) -> None:
        """Put another message in the place of one, if it is shorter."""
        size = size_of(message)
        if size < self._sizes[place]:
            self._used += size - self._sizes[place]
            self.messages[place], self._sizes[place] = message, size

    def leave_turns_out(self) -> int:
        """Leave out as many of the older turns as is necessary, but never the last; returns how many messages that
        were. A turn begins with a message of the assistant: a result without its call is refused."""
        begin = self.task_end
        turns = [place for place in turns_of(self.messages) if place >= begin]
        for place in turns[1:]:
            note = {"role": "user", "content": f"[{place - begin} earlier messages left out to save space]"}
            gone = sum(self._sizes[begin:place]) - size_of(note)
            if self._used - gone <= self.bytes_of_room or place == turns[-1]:
                if gone <= 0:  # where almost nothing would be left out, the note is longer
                    return 0
                self.messages[begin:place], self._sizes[begin:place] = [note], [size_of(note)]
                self._used -= gone
                return place - begin
        return 0


def _shorten_older(draft: _Draft) -> None:
    """Shorten what was before the last turns: first the results, then the calls; some at a time, the oldest first."""
    first, last = draft.task_end, max(draft.task_end, len(draft.messages) - _LAST_KEPT)
    for shorten in (partial(_shortened_result, most=_SHORT), _shortened_call):
        for begin in range(first, last, _STEP):
            if draft.fits():
                return
            for place in range(begin, min(begin + _STEP, last)):
                draft.replace(place, shorten(draft.messages[place]))


def _shorten_recent(draft: _Draft, share: float) -> None:
    """Shorten every message after the task that takes more than its share of the room."""
    most = max(_SHORT, int(draft.bytes_of_room * share))
    hard = share < _RECENT_SHARES[0]
    text = partial(_shortened_result, most=most, roles=_RESULTS | {"assistant"} if hard else _RESULTS)
    kinds: tuple[Callable[[Message], Message], ...] = (text, _shortened_call) if hard else (text,)
    for shorten in kinds:
        for place in _largest_first(draft):
            if draft.fits():
                return
            draft.replace(place, shorten(draft.messages[place]))


def _largest_first(draft: _Draft) -> Iterator[int]:
    places = range(draft.task_end, len(draft.messages))
    yield from sorted(places, key=lambda place: (-size_of(draft.messages[place]), place))


def _shorten_task(draft: _Draft) -> None:
    """Take out of the middle of the task what is too much: the goal is its beginning."""
    asked = [place for place in range(draft.task_end) if draft.messages[place].get("role") == "user"]
    place = max(asked, key=lambda place: size_of(draft.messages[place]), default=0)
    content = draft.messages[place].get("content") if asked else None
    if isinstance(content, str):
        kept = max(_LEAST_OF_TASK, _size(content) - draft.over - 100)
        note = "\n[… some of this was left out to save space; look it up with your tools …]\n"
        draft.replace(place, {**draft.messages[place], "content": _without_middle(content, kept, note, head=0.75)})


def _shortened_result(message: Message, most: int, roles: frozenset[str] = _RESULTS) -> Message:
    content = message.get("content")
    if message.get("role") not in roles or not isinstance(content, str) or _size(content) <= most + _SHORT:
        return message
    note = f"\n[… {len(content) - most:,} {_LEFT_OUT}; ask again for the part that you need …]\n"
    return {**message, "content": _without_middle(content, most, note)}


def _without_middle(text: str, most: int, note: str, head: float = 0.5) -> str:
    """The beginning and the end of a text, of so many bytes together, with a note between."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= most:
        return text
    first = data[: int(most * head)].decode("utf-8", "ignore")
    return first + note + data[len(data) - (most - int(most * head)) :].decode("utf-8", "ignore")


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
        return f"{value[: _SHORT // 2]}[… {len(value) - _SHORT // 2} {_LEFT_OUT}]"
    return value


def size_of(message: Message) -> int:
    """The bytes of a message, with a few for what is around it."""
    content = message.get("content")
    if isinstance(content, list):
        said = text_size(content, BYTES_PER_TOKEN)
    else:
        said = _size(content) if isinstance(content, str) else _json_size(content) if content else 0
    calls = message.get("tool_calls")
    return said + (_json_size(calls) if calls else 0) + 10


def _size_beside(body: Mapping[str, Any]) -> int:
    """The bytes of what counts beside the messages."""
    return sum(_json_size(body[name]) for name in ("tools", "response_format") if body.get(name))


def _json_size(value: Any) -> int:
    return _size(json.dumps(value, default=str, ensure_ascii=False))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def turns_of(messages: Sequence[Message]) -> list[int]:
    """Where the turns begin: each with a message of the assistant."""
    return [place for place, message in enumerate(messages) if message.get("role") == "assistant"]

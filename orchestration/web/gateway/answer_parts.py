"""The parts of an answer, in the order in which a model makes them: thoughts, texts, calls of tools. Pure.

Anthropic's API and OpenAI's Responses number the parts of an answer and announce the beginning and the end of each.
The chat format does not: there, parts are known by what a chunk holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestration.providers.dialects.call_assembly import ToolCallAssembly, as_text
from orchestration.providers.dialects.json_reader import NotJsonError, read_json
from orchestration.providers.stream_assembly import text_of
from orchestration.providers.wire import THINKING_BLOCKS

_THOUGHTS = ("reasoning_content", "reasoning")


class PartKind(StrEnum):
    """What a part of an answer is. A redacted thought can be read by its vendor alone."""

    THOUGHT = "thought"
    REDACTED = "redacted"
    TEXT = "text"
    CALL = "call"


@dataclass(slots=True)
class AnswerPart:
    """A part of an answer. `text` is that of the thought or the text, or the arguments of the call; `id` and `name` are
    the call's. `signature` is what a vendor wants back with its thought."""

    kind: PartKind
    text: str = ""
    id: str = ""
    name: str = ""
    signature: str = ""
    key: object = field(default=None, compare=False)


class PartStep(StrEnum):
    """What happens to a part of a stream."""

    BEGIN = "begin"
    MORE = "more"
    END = "end"


@dataclass(frozen=True, slots=True)
class PartChange:
    """A part begins, goes on with `text`, or ends. Only one part is open at a time."""

    step: PartStep
    part: AnswerPart
    text: str = ""


def parts_of(message: Mapping[str, Any]) -> Iterator[AnswerPart]:
    """The parts of a whole answer in the chat format."""
    blocks = message.get(THINKING_BLOCKS)
    if isinstance(blocks, list) and blocks:
        yield from (_thought(block) for block in blocks if isinstance(block, Mapping))
    elif thoughts := _thoughts_in(message):
        yield AnswerPart(PartKind.THOUGHT, thoughts)
    if text := f"{_plain(message.get('content'))}{_plain(message.get('refusal'))}":
        yield AnswerPart(PartKind.TEXT, text)
    for call in _calls_in(message):
        function = call["function"]
        arguments, name = as_text(function.get("arguments")), str(function.get("name") or "")
        yield AnswerPart(PartKind.CALL, arguments, str(call.get("id") or ""), name)


class PartStream:
    """Turns the chunks of a stream into changes of parts.

    Calls are announced one after the other: what comes of a later one while an earlier one is not complete is held
    back, and so is a text between calls.
    """

    def __init__(self) -> None:
        self._open: AnswerPart | None = None
        self._calls = ToolCallAssembly()
        self._ended_calls = 0
        self._late_text = ""

    def add(self, chunk: Mapping[str, Any]) -> Iterator[PartChange]:
        """What a chunk changes."""
        choices = chunk.get("choices")
        delta = choices[0].get("delta") if choices else None
        if not delta:
            return
        blocks = delta.get(THINKING_BLOCKS)
        if isinstance(blocks, list):
            for block in blocks:
                if isinstance(block, Mapping):
                    yield from self._add_thought(_thought(block))
        elif thoughts := _thoughts_in(delta):
            yield from self._add(AnswerPart(PartKind.THOUGHT, thoughts))
        if text := f"{_plain(delta.get('content'))}{_plain(delta.get('refusal'))}":
            yield from self._add_text(text)
        for part in delta.get("tool_calls") or ():
            self._calls.add(part)
        if function := delta.get("function_call"):
            self._calls.add_function_call(function)
        if delta.get("tool_calls") or function:
            yield from self._add_calls(final=False)

    def close(self) -> Iterator[PartChange]:
        """The rest, and the end of the part that is open."""
        yield from self._add_calls(final=True)
        if self._late_text:
            yield from self._add(AnswerPart(PartKind.TEXT, self._late_text))
        yield from self._end()

    def _add_thought(self, thought: AnswerPart) -> Iterator[PartChange]:
        yield from self._add(thought)
        if self._open is not None and thought.signature:
            self._open.signature = thought.signature
        if thought.kind is PartKind.REDACTED:
            yield from self._end()

    def _add_text(self, text: str) -> Iterator[PartChange]:
        if self._open is not None and self._open.kind is PartKind.CALL:
            self._late_text += text
        else:
            yield from self._add(AnswerPart(PartKind.TEXT, text))

    def _add(self, part: AnswerPart) -> Iterator[PartChange]:
        """Add to the open part, or begin another one."""
        if self._open is None or (self._open.kind, self._open.key) != (part.kind, part.key):
            yield from self._begin(AnswerPart(part.kind, id=part.id, name=part.name, key=part.key))
        yield from self._go_on(part.text)

    def _add_calls(self, *, final: bool) -> Iterator[PartChange]:
        calls = self._calls.begun()
        while self._ended_calls < len(calls):
            call = calls[self._ended_calls]
            is_last = self._ended_calls == len(calls) - 1
            is_open = self._open is not None and self._open.key == ("call", self._ended_calls)
            # A name may come in pieces; it is complete once there are arguments.
            if not (is_open or final or (call.name and call.arguments)):
                return
            if not is_open:
                key = ("call", self._ended_calls)
                yield from self._begin(AnswerPart(PartKind.CALL, id=call.id, name=call.name, key=key))
            if self._open is not None:
                yield from self._go_on(call.arguments[len(self._open.text) :])
            if not final and (is_last or not _is_object(call.arguments)):
                return
            yield from self._end()
            self._ended_calls += 1

    def _begin(self, part: AnswerPart) -> Iterator[PartChange]:
        yield from self._end()
        self._open = part
        yield PartChange(PartStep.BEGIN, part)

    def _go_on(self, text: str) -> Iterator[PartChange]:
        if text and self._open is not None:
            self._open.text += text
            yield PartChange(PartStep.MORE, self._open, text)

    def _end(self) -> Iterator[PartChange]:
        if self._open is not None:
            ended, self._open = self._open, None
            yield PartChange(PartStep.END, ended)


def object_in(arguments: str) -> dict[str, Any]:
    """The arguments of a call as an object, as far as they can be understood; else an empty one."""
    try:
        found = read_json(arguments)
    except NotJsonError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(read_json(arguments), dict)
    except NotJsonError:
        return False


def _calls_in(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = message.get("tool_calls")
    calls = found if isinstance(found, list) else []
    # From before OpenAI's API had tools.
    old = [{"function": message.get("function_call")}] if not calls else []
    return [one for one in (*calls, *old) if isinstance(one, Mapping) and isinstance(one.get("function"), Mapping)]


def _thought(block: Mapping[str, Any]) -> AnswerPart:
    key = block.get("index")
    if block.get("type") == "redacted_thinking":
        return AnswerPart(PartKind.REDACTED, str(block.get("data") or ""), key=key)
    signature = str(block.get("signature") or "")
    return AnswerPart(PartKind.THOUGHT, str(block.get("thinking") or ""), signature=signature, key=key)


def _thoughts_in(said: Mapping[str, Any]) -> str:
    """Servers use either name for thoughts; some send both."""
    return next((text for name in _THOUGHTS if isinstance(text := said.get(name), str) and text), "")


def _plain(content: Any) -> str:
    text = text_of(content)
    return text if isinstance(text, str) else str(text) if text else ""

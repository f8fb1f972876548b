"""Assembling streamed tool calls, whichever way a vendor numbers their parts. Pure.

OpenAI sends the id and the name with the first part of a call and its index with each. Others share one index among
several calls, leave out the index or the id, repeat the name and the id in each part, split the name, or send the
arguments as an object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.providers.dialects.json_reader import NotJsonError, read_json


@dataclass(slots=True)
class AssembledCall:
    """One call as far as it has come."""

    place: int
    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def complete(self) -> bool:
        try:
            return isinstance(read_json(self.arguments), dict)
        except NotJsonError:
            return False

    def message(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class ToolCallAssembly:
    """The tool calls of one answer, as they come."""

    def __init__(self) -> None:
        self._calls: list[AssembledCall] = []
        self._of_index: dict[int, AssembledCall] = {}

    def add(self, part: Mapping[str, Any]) -> None:
        """Add a part of `delta.tool_calls`."""
        function = part.get("function")
        function = function if isinstance(function, Mapping) else {}
        index, name = part.get("index"), str(function.get("name") or "")
        identifier, arguments = str(part.get("id") or ""), as_text(function.get("arguments"))
        numbered = isinstance(index, int)
        call = self._of_index.get(index) if isinstance(index, int) else self._unnumbered(identifier)
        if call is None or _begins_another(call, identifier, name, arguments, numbered=numbered):
            call = AssembledCall(index if isinstance(index, int) else len(self._calls))
            self._calls.append(call)
        if isinstance(index, int):
            self._of_index[index] = call
        call.id = call.id or identifier
        call.name = _joined_name(call.name, name)
        # Some servers end with a part that repeats the whole.
        if arguments != call.arguments or not call.complete:
            call.arguments += arguments

    def add_function_call(self, function: Mapping[str, Any]) -> None:
        """Add a part of `delta.function_call`, from before OpenAI's API had tools: there is only one call."""
        self.add({"index": -1, "function": function})

    def begun(self) -> tuple[AssembledCall, ...]:
        """The calls so far, in the order in which they began."""
        return tuple(self._calls)

    def messages(self) -> list[dict[str, Any]]:
        """The calls so far, by their numbers and the order in which they began."""
        return [call.message() for call in sorted(self._calls, key=lambda call: call.place)]

    def _unnumbered(self, identifier: str) -> AssembledCall | None:
        if identifier:
            return next((call for call in self._calls if call.id == identifier), None)
        return self._calls[-1] if self._calls else None


def as_text(arguments: Any) -> str:
    """Arguments as text; Ollama's own API and some others give the object itself."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _begins_another(call: AssembledCall, identifier: str, name: str, arguments: str, *, numbered: bool) -> bool:
    """Whether a part that seems to belong to a call begins another one."""
    if identifier and call.id:
        return identifier != call.id
    if not name or not call.arguments:
        # Two whole calls without numbers and arguments can only be told apart by their names.
        return bool(name and call.name and not numbered and name != call.name and not call.arguments and arguments)
    return name != call.name or (bool(arguments) and call.complete and arguments != call.arguments)


def _joined_name(before: str, part: str) -> str:
    """A name that comes in pieces, is repeated with each part, or grows from part to part."""
    if part.startswith(before):
        return part
    return before + part if part else before

"""The tools that a request offers, and what a model meant by a call of one. Pure.

A name or an argument is corrected only where one meaning is possible. Everything else is left for the tool to refuse,
so that the model learns what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestration.providers.dialects.json_reader import NotJsonError, find_json, read_json

# What other products' tools call the same parameter; models that were trained on those use their names.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "path": ("file_path", "filepath", "filename", "file_name", "file", "target_file", "relative_path"),
    "old": ("old_str", "old_string", "old_text", "search", "original"),
    "new": ("new_str", "new_string", "new_text", "replace", "replacement"),
    "content": ("contents", "text", "file_text", "file_content", "body"),
    "command": ("cmd", "commands", "argv"),
    "pattern": ("regex", "query", "expression", "search_pattern"),
    "start_line": ("line_start", "from_line", "start"),
    "end_line": ("line_end", "to_line", "end"),
}
# Remarks beside the arguments. Any other unknown key may change what the call means, so it is refused.
_REMARKS = frozenset(
    ("comment", "explanation", "justification", "purpose", "rationale", "reason", "reasoning", "thought", "thoughts")
)
_WRAPPERS = frozenset({"arguments", "args", "input", "parameters", "params", "kwargs"})
# What a server or a model leaves around the arguments: an empty object before them, brackets that close nothing.
_AROUND_ARGUMENTS = frozenset("{}[], \t\r\n")
_NOT_LETTERS = re.compile(r"[^a-z0-9]")
# `functions.read_file`, `default_api.read_file`, `functions/read_file:0`, `read_file<|channel|>commentary`.
_NAME_IN = re.compile(r"(?:.*[./])?([\w -]+?)(?::\d+)?(?:<\|.*)?", re.DOTALL)
_EXAMPLES = {"path": "src/app.py", "old": "a = 1", "new": "a = 2", "content": "a = 2\n", "pattern": "def total"}


class OfferedTools:
    """The tools of one request, by their JSON Schemas."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """`tools` is in the form of OpenAI's `tools`."""
        functions = [tool["function"] for tool in tools]
        self.parameters: dict[str, Mapping[str, Any]] = {one["name"]: one.get("parameters") or {} for one in functions}
        self.descriptions: dict[str, str] = {one["name"]: one.get("description") or "" for one in functions}
        self._by_letters: dict[str, list[str]] = {}
        for name in self.parameters:
            self._by_letters.setdefault(_letters(name), []).append(name)

    def __bool__(self) -> bool:
        return bool(self.parameters)

    def name_of(self, given: str) -> str | None:
        """The tool that a model means by a name; None if there is none such."""
        if given in self.parameters:
            return given
        inner = _NAME_IN.fullmatch(given.strip())
        found = self._by_letters.get(_letters(inner.group(1))) if inner else None
        return found[0] if found and len(found) == 1 else None

    def arguments_of(self, name: str, given: Any) -> dict[str, Any] | None:
        """The arguments that a model means; None if they cannot be read."""
        values = given
        for _ in range(3):
            if not isinstance(values, str):
                break
            if not values.strip():
                return {}
            try:
                values = read_json(values)
            except NotJsonError:
                values = _objects_alone(values)
        if isinstance(values, list) and len(values) == 1:
            (values,) = values
        if values is None:
            return {}
        return self._mended(name, values) if isinstance(values, dict) else None

    def several_arguments(self, name: str, given: Any) -> list[dict[str, Any]]:
        """The arguments of several calls of one tool that came as those of one; an empty list if it is one."""
        try:
            values = read_json(given) if isinstance(given, str) else given
        except NotJsonError:
            values = _objects_alone(given)
        if not isinstance(values, list) or len(values) < 2 or not all(isinstance(one, dict) for one in values):
            return []
        return [self._mended(name, one) for one in values]

    def example_of(self, name: str) -> str:
        """Correct arguments for a tool, as JSON."""
        schema = self.parameters.get(name, {})
        properties = schema.get("properties", {})
        return json.dumps({key: _example(key, properties.get(key, {})) for key in schema.get("required", ())})

    def _mended(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        schema = self.parameters.get(name, {})
        properties: Mapping[str, Any] = schema.get("properties", {})
        if len(values) == 1 and not set(values) & set(properties):
            ((key, inner),) = values.items()
            if key in _WRAPPERS and (unwrapped := self.arguments_of(name, inner)) is not None:
                return unwrapped
        found: dict[str, Any] = {}
        for key, value in values.items():
            known = _property(key, properties, values)
            if known is None and key.casefold() in _REMARKS:
                continue
            if value is None and known is not None and known not in schema.get("required", ()):
                continue
            found[known or key] = value if known is None else _as_type(value, properties[known])
        return found


def _objects_alone(text: str) -> list[Any]:
    """The objects that a text consists of but for brackets around them. Empty ones do not count."""
    found = [one for one in find_json(text) if isinstance(one.value, dict)]
    rest = text
    for one in reversed(found):
        rest = rest[: one.start] + rest[one.end :]
    return [one.value for one in found if one.value] if set(rest) <= _AROUND_ARGUMENTS else []


def _property(key: str, properties: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """The parameter that a key means; None if it means none for certain."""
    if key in properties:
        return key
    same = [name for name in properties if _letters(name) == _letters(key)]
    same += [name for name in properties if _letters(key) in map(_letters, _ALIASES.get(name, ()))]
    return same[0] if len(same) == 1 and same[0] not in given else None


def _as_type(value: Any, schema: Mapping[str, Any]) -> Any:
    """A list, number or object that came as text, where the parameter can be no text."""
    if not isinstance(value, str) or "string" in _types(schema):
        return value
    try:
        read = read_json(value)
    except NotJsonError:
        return value
    return value if isinstance(read, str) or _type_of(read) not in _types(schema) else read


def _types(schema: Mapping[str, Any]) -> set[str]:
    options = schema.get("anyOf") or [schema]
    return {str(option.get("type", "string")) for option in options}


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _example(key: str, schema: Mapping[str, Any]) -> Any:
    by_type = {"integer": 1, "number": 1, "boolean": True, "array": ["python", "-m", "pytest"], "object": {}}
    kind = next(iter(_types(schema)))
    return by_type.get(kind, _EXAMPLES.get(key, "text"))


def _letters(name: str) -> str:
    return _NOT_LETTERS.sub("", name.casefold())

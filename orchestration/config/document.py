"""JSON with positions: a value, and the position of each part of it in the text.

The standard library's parser drops positions, silently keeps the last of two equal keys, and accepts `NaN`. An operator
who edits the file during an incident needs the line, so this parser keeps them. Pure.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, NamedTuple

JsonPath = tuple[str | int, ...]

# The parser is recursive: without a limit, a few kilobytes of brackets exhaust the interpreter's stack.
MAX_DEPTH = 64

_SPACE = re.compile(r"[ \t\n\r]*")
# Possessive quantifiers and bounded repetitions: no input can make the matching slow.
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,299})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,20})?(?![\w.])")
_WORD = re.compile(r"(?:true|false|null)(?!\w)")


class Position(NamedTuple):
    """A position in a text; both numbers start at 1, columns count characters."""

    line: int
    column: int


class JsonSyntaxError(Exception):
    """The text is not JSON. `expected` says what should be at `position`, `hint` how to correct it."""

    def __init__(self, position: Position, expected: str, hint: str = "") -> None:
        super().__init__(expected)
        self.position = position
        self.expected = expected
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON value, the positions of its parts, and the keys that occur twice."""

    value: Any = None
    values: dict[JsonPath, Position] = field(default_factory=dict)
    keys: dict[JsonPath, Position] = field(default_factory=dict)
    duplicates: tuple[tuple[JsonPath, Position], ...] = ()

    def position(self, path: JsonPath) -> Position:
        """The position of the value at `path`, or of the nearest part around it that exists."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Position(1, 1))


def read(text: str) -> Document:
    """Parse one JSON value. Raises JsonSyntaxError."""
    return _Reader(text).document()


def show_path(path: JsonPath) -> str:
    """A path as people write it: `agents[2].tools[0]`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).removeprefix(".")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # Only at line feeds, as editors count lines; `splitlines` would break at further characters.
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._values: dict[JsonPath, Position] = {}
        self._keys: dict[JsonPath, Position] = {}
        self._duplicates: list[tuple[JsonPath, Position]] = []

    def document(self) -> Document:
        value = self._value(())
        self._skip_space()
        if self._at < len(self._text):
            raise self._error("the end of the file", "one JSON value fills the whole file")
        return Document(value, self._values, self._keys, tuple(self._duplicates))

    def _value(self, path: JsonPath) -> Any:
        self._skip_space()
        self._values[path] = self._position()
        if len(path) > MAX_DEPTH:
            raise self._error(f"at most {MAX_DEPTH} levels of nesting")
        match self._peek():
            case "{":
                return self._object(path)
            case "[":
                return self._array(path)
            case '"':
                return self._string("a string")
            case _:
                return self._scalar()

    def _object(self, path: JsonPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        self._at += 1
        if self._accept("}"):
            return result
        while True:
            self._member(path, result)
            if self._accept("}"):
                return result
            self._separator("}")

    def _member(self, path: JsonPath, result: dict[str, Any]) -> None:
        self._skip_space()
        position = self._position()
        key = self._string("a key in double quotes")
        inner = (*path, key)
        # The later value is kept, as other parsers do, but the finding keeps such a file from being used.
        if key in result:
            self._duplicates.append((inner, position))
        self._keys[inner] = position
        if not self._accept(":"):
            raise self._error('":" after the key')
        result[key] = self._value(inner)

    def _array(self, path: JsonPath) -> list[Any]:
        result: list[Any] = []
        self._at += 1
        if self._accept("]"):
            return result
        while True:
            result.append(self._value((*path, len(result))))
            if self._accept("]"):
                return result
            self._separator("]")

    def _separator(self, closing: str) -> None:
        if not self._accept(","):
            raise self._error(f'"," or "{closing}"', "a comma may be missing at the end of the line before")
        self._skip_space()
        if self._peek() == closing:
            raise self._error("another entry after the comma", "JSON allows no comma after the last entry")

    def _string(self, expected: str) -> str:
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise self._error(expected, self._string_hint())
        # The standard library decodes the escapes; the pattern has admitted nothing that it would refuse.
        text: str = json.loads(match.group())
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self._error("a string of whole characters", r"a \ud800–\udfff escape stands alone") from None
        self._at = match.end()
        return text

    def _scalar(self) -> Any:
        match = _NUMBER.match(self._text, self._at) or _WORD.match(self._text, self._at)
        if match is None:
            raise self._error('a value: "text", a number, true, false, null, {…} or […]', self._string_hint())
        value = json.loads(match.group())
        # Python reads a number that is too large, such as 1e999, as infinity.
        if value in (float("inf"), float("-inf")):
            raise self._error("a number that fits into 64 bits")
        self._at = match.end()
        return value

    def _string_hint(self) -> str:
        match self._peek():
            case "":
                return "the file ends here; it may have been saved only in part"
            case '"':
                return r"close the string on the same line, and write a line break in it as \n and a backslash as \\"
            case "'":
                return 'JSON uses double quotes: "'
            case "/" | "#":
                return "JSON has no comments"
            case _:
                return "text needs double quotes"

    def _accept(self, character: str) -> bool:
        self._skip_space()
        found = self._peek() == character
        self._at += found
        return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _position(self) -> Position:
        line = bisect_right(self._line_starts, self._at)
        return Position(line, self._at - self._line_starts[line - 1] + 1)

    def _error(self, expected: str, hint: str = "") -> JsonSyntaxError:
        return JsonSyntaxError(self._position(), expected, hint)

"""Reading JSON as models write it. Pure.

Deviations are accepted only where they have a single meaning: line feeds in texts, trailing commas, comments, the words
and quotes of Python and JavaScript, typographic quotes. What was cut off, or gives one key two values, is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Bounds on the work: a text that consists of opening braces would take quadratic time.
_MOST_TRIES = 500
_MOST_FOUND = 50
_DEEPEST = 60

_SPACE = re.compile(r"(?:\s+|//[^\n]*|#[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,400})(?:\.\d{1,400})?(?:[eE][+-]?\d{1,3})?(?![\w.])")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_STRINGS = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
    # Editors and chat windows put typographic quotes in the place of straight ones, around keys most often.
    "\u201c": re.compile("\u201c([^\u201d\\\\]*(?:\\\\.[^\u201d\\\\]*)*)\u201d", re.DOTALL),
}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_FENCED = re.compile(r"\A```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)
_START = re.compile(r"[{\[]")


class NotJsonError(ValueError):
    """The text is not JSON, nor anything with the meaning of JSON beyond doubt."""


@dataclass(frozen=True, slots=True)
class FoundJson:
    """A JSON object or list within a text, and where it is."""

    value: Any
    start: int
    end: int


def read_json(text: str) -> Any:
    """The value that a text consists of, in a code fence or not. Raises NotJsonError."""
    content = text.strip()
    if fenced := _FENCED.match(content):
        content = fenced.group(1).strip()
    if not content:
        raise NotJsonError("the text is empty")
    value, end = _read_at(content, 0)
    if _after_space(content, end) != len(content):
        raise NotJsonError(f"something follows the JSON value, at character {end}")
    return value


def find_json(text: str, skip: re.Pattern[str] | None = None) -> Iterator[FoundJson]:
    """The complete objects and lists in a text, in order, without those inside others. `skip` is what is passed over
    where it begins outside of them."""
    position, found = 0, 0
    passed = skip.search(text) if skip else None
    for _ in range(_MOST_TRIES):
        start = _START.search(text, position)
        if start is None or found >= _MOST_FOUND:
            return
        if skip and passed and passed.start() < start.start():
            position = max(position, passed.end()) if passed.start() >= position else position
            passed = skip.search(text, max(position, passed.start() + 1))
            continue
        try:
            value, end = _read_at(text, start.start())
        except NotJsonError:
            position = start.end()
        else:
            yield FoundJson(value, start.start(), end)
            position, found = end, found + 1


def _read_at(text: str, start: int) -> tuple[Any, int]:
    try:
        return _STRICT.raw_decode(text, start)
    except NotJsonError:
        raise
    except (ValueError, RecursionError):
        return _value(text, start, 0)


def _value(text: str, position: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST or position >= len(text):
        raise NotJsonError(f"the JSON value is not complete, at character {position}")
    first = text[position]
    if first == "{":
        return _object(text, position + 1, depth)
    if first == "[":
        return _list(text, position + 1, depth)
    if first in _STRINGS:
        return _string(text, position)
    if number := _NUMBER.match(text, position):
        return json.loads(number.group()), number.end()
    if (word := _WORD.match(text, position)) and word.group() in _CONSTANTS:
        return _CONSTANTS[word.group()], word.end()
    raise NotJsonError(f"no JSON value begins at character {position}")


def _object(text: str, position: int, depth: int) -> tuple[dict[str, Any], int]:
    pairs: list[tuple[str, Any]] = []
    position = _after_space(text, position)
    while not text.startswith("}", position):
        key, position = _key(text, position)
        position = _expect(text, ":", position)
        value, position = _value(text, position, depth + 1)
        pairs.append((key, value))
        position = _next_item(text, "}", position)
    return _distinct(pairs), position + 1


def _list(text: str, position: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    position = _after_space(text, position)
    while not text.startswith("]", position):
        value, position = _value(text, position, depth + 1)
        items.append(value)
        position = _next_item(text, "]", position)
    return items, position + 1


def _key(text: str, position: int) -> tuple[str, int]:
    if text[position : position + 1] in _STRINGS:
        return _string(text, position)
    if word := _WORD.match(text, position):
        return word.group(), word.end()
    raise NotJsonError(f"no key begins at character {position}")


def _string(text: str, position: int) -> tuple[str, int]:
    found = _STRINGS[text[position]].match(text, position)
    if found is None:
        raise NotJsonError(f"the text that begins at character {position} does not end")
    said = _ESCAPE.sub(_unescaped, found.group(1))
    # Two escapes may be the halves of one character.
    return said.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass"), found.end()


def _unescaped(escape: re.Match[str]) -> str:
    name = escape.group(1)
    if len(name) == 5:
        return chr(int(name[1:], 16))
    # A backslash before anything else, as in a regular expression, can only mean itself.
    return _ESCAPED.get(name) or (name if name in "\"'\\/\n" else escape.group())


def _next_item(text: str, close: str, position: int) -> int:
    """The place of the next item after a comma, or that of the closing bracket, before which a comma may stand."""
    position = _after_space(text, position)
    if text.startswith(close, position):
        return position
    return _expect(text, ",", position)


def _expect(text: str, mark: str, position: int) -> int:
    position = _after_space(text, position)
    if not text.startswith(mark, position):
        raise NotJsonError(f"expected '{mark}' at character {position}")
    return _after_space(text, position + 1)


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found and found[key] != value:
            raise NotJsonError(f"the key '{key}' has two values")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise NotJsonError(f"'{name}' is no JSON value")


# Line feeds and other control characters in texts are accepted: `strict` is about them alone.
_STRICT = json.JSONDecoder(strict=False, object_pairs_hook=_distinct, parse_constant=_no_constant)

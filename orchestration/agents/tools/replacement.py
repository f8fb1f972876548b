"""Replacing one piece of a text by another, as a model meant it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from orchestration.agents.tools import line_match
from orchestration.agents.tools.excerpt import numbered
from orchestration.agents.tools.line_match import Tolerance, fitted, nearest_miss, places, split_lines

# As `read_file` shows them, and as models like to write them: "12<tab>", "12 | ", "12: ".
_LINE_NUMBER = re.compile(r"^[ ]*\d+(?:\t|[ ]?[|:→][ ]?)")
_FENCE = re.compile(r"\s*```[\w+-]*\n(.*?)\n?```\s*", re.DOTALL)
_SHOWN_PLACES = 10


class ReplacementError(ValueError):
    """The piece cannot be replaced; the message shows the model what the file has instead."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """The text after a replacement, the first line of it that changed, how many lines are new, and what had to be
    overlooked."""

    text: str
    line: int
    lines: int
    overlooked: str = ""


def replace(text: str, old: str, new: str, *, everywhere: bool = False) -> Replaced:
    """Replace `old`, which has to be at exactly one place unless it is meant `everywhere`. White space may differ where
    only one place fits. Raises ReplacementError."""
    end = line_match.line_end(text)
    for sought, given, overlooked in _readings(old, new):
        exact, put = _with_end(sought, end), _with_end(given, end)
        count = text.count(exact)
        if count == 1 or (count and everywhere):
            first = 1 + text.count("\n", 0, text.index(exact))
            return Replaced(text.replace(exact, put), first, put.count("\n") + 1, overlooked)
        if count:
            raise ReplacementError(_several(text, exact))
        found = _by_lines(text, sought, given) or _within_lines(text, exact, put)
        if found is not None:
            return found
    raise ReplacementError(_not_found(text, old))


def _readings(old: str, new: str) -> Iterator[tuple[str, str, str]]:
    """What a model can have meant: the text as it is; without line numbers, without a fence, and unescaped."""
    yield old, new, ""
    bare = without_line_numbers(old)
    if bare != old:
        yield bare, without_line_numbers(new), "the line numbers, which are not part of the file"
    if _FENCE.fullmatch(old):
        yield without_fence(old), without_fence(new), "the fence, which is not part of the file"
    if "\n" not in old and "\\n" in old:
        yield _unescaped(old), _unescaped(new), "that its line breaks were escaped twice"


def without_line_numbers(text: str) -> str:
    """The text without line numbers, if each of its lines has one, and they count up."""
    lines = text.split("\n")
    found = [_LINE_NUMBER.match(line) for line in lines if line.strip()]
    if not found or not all(found):
        return text
    numbers = [int(re.sub(r"\D", "", one.group())) for one in found if one]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        return text
    return "\n".join(_LINE_NUMBER.sub("", line) for line in lines)


def without_fence(text: str) -> str:
    """The text inside a fence, if it is nothing but a fenced block."""
    found = _FENCE.fullmatch(text)
    return f"{found.group(1)}\n" if found else text


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')


def _with_end(text: str, end: str) -> str:
    return text if end == "\n" else text.replace("\r\n", "\n").replace("\n", end)


def _by_lines(text: str, old: str, new: str) -> Replaced | None:
    """The replacement of whole lines; None where they are not found. Raises ReplacementError where several fit."""
    lines, sought, given = split_lines(text), _trimmed(split_lines(old)), _trimmed(split_lines(new))
    if "\n" not in old and (len(sought) != 1 or not old.strip()):
        return None
    found = places(lines, sought)
    if len(found) > 1:
        raise ReplacementError(_at_lines([match.start + 1 for match in found]))
    if not found:
        return None
    match = found[0]
    changed = fitted(lines, match, sought, given)
    said = f"a difference in {match.tolerance.value}" if match.tolerance is not Tolerance.EXACT else ""
    return Replaced(with_lines(text, match.start, match.end, changed), match.start + 1, len(changed), said)


def with_lines(text: str, start: int, end: int, changed: list[str]) -> str:
    """The text with other lines in the place of some; ends of lines are as most of the file has them."""
    raw = text.split("\n")
    ending = "\r" if line_match.line_end(text) == "\r\n" else ""
    fresh = [line + ending for line in changed]
    if fresh and end == len(raw):  # the last line, which has no end
        fresh[-1] = fresh[-1].removesuffix("\r")
    return "\n".join([*raw[:start], *fresh, *raw[end:]])


def _trimmed(lines: list[str]) -> list[str]:
    """Without blank lines around."""
    filled = [index for index, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _within_lines(text: str, old: str, new: str) -> Replaced | None:
    """The replacement of a piece of a line whose blanks differ."""
    words = old.split()
    if "\n" in old or not words:
        return None
    found = list(re.finditer(r"[^\S\n]+".join(map(re.escape, words)), text))
    if len(found) != 1:
        return None
    start, end = found[0].span()
    line = 1 + text.count("\n", 0, start)
    return Replaced(text[:start] + new.strip() + text[end:], line, 1 + new.count("\n"), "a difference in white space")


def _several(text: str, old: str) -> str:
    numbers, start = [], text.find(old)
    while start >= 0:
        numbers.append(1 + text.count("\n", 0, start))
        start = text.find(old, start + len(old))
    return _at_lines(numbers)


def _at_lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN_PLACES])) + (" …" if len(numbers) > _SHOWN_PLACES else "")
    return (
        f"`old` was found {len(numbers)} times, at lines {shown}. Add neighbouring lines to `old` so that it fits one "
        "place only, or set `everywhere` to true to replace all"
    )


def _not_found(text: str, old: str) -> str:
    lines = split_lines(text)
    miss = nearest_miss(lines, split_lines(old))
    if miss is None:
        return f"`old` was not found, nor anything like it, in the {len(lines)} lines; read the file again"
    first, last = max(0, miss.start - 1), min(len(lines), miss.end + 1)
    return (
        f"`old` was not found. The nearest lines are {miss.start + 1} to {miss.end}, {miss.likeness:.0%} alike:\n"
        f"{numbered(lines[first:last], first + 1)}\nRepeat the call with `old` exactly as it is there"
    )

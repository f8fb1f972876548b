"""Finding lines in a file although their white space differs, and giving new lines the file's white space. Pure.

Models repeat lines with another indentation, without blanks at the end, or with typographic quotes. Where exactly one
place fits, there is no doubt what was meant. aider measured nine times as many failed edits without such tolerance:
https://aider.chat/docs/unified-diffs.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from itertools import pairwise

_TYPOGRAPHY = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " "})
_INDENT = re.compile(r"[ \t]*")
# How many places are compared letter by letter when nothing fits, and from which likeness on one is worth showing.
_COMPARED = 8
_WORTH_SHOWING = 0.5


class Tolerance(Enum):
    """What had to be overlooked for a match; the value completes "differing only in …"."""

    EXACT = ""
    LINE_ENDS = "blanks at the ends of lines"
    INDENTATION = "indentation"
    WHITE_SPACE = "white space"


def _spaced(line: str) -> str:
    return " ".join(line.translate(_TYPOGRAPHY).split())


_KEYS: dict[Tolerance, Callable[[str], str]] = {
    Tolerance.EXACT: str,
    Tolerance.LINE_ENDS: str.rstrip,
    Tolerance.INDENTATION: str.strip,
    Tolerance.WHITE_SPACE: _spaced,
}


@dataclass(frozen=True, slots=True)
class LineMatch:
    """Where lines stand: for each line sought its index in the file, or None for a blank line that is not there."""

    lines: tuple[int | None, ...]
    tolerance: Tolerance

    @property
    def start(self) -> int:
        return min(line for line in self.lines if line is not None)

    @property
    def end(self) -> int:
        """The index after the last line."""
        return 1 + max(line for line in self.lines if line is not None)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """The lines that are most like those that were not found, and how much alike they are, from 0 to 1."""

    start: int
    end: int
    likeness: float


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends; an end of the last line adds no line. Only line feeds end lines, as in
    editors and in patches."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def line_end(text: str) -> str:
    """How most lines of a text end."""
    return "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"


def places(lines: Sequence[str], wanted: Sequence[str]) -> list[LineMatch]:
    """Every place where the wanted lines stand, with as little overlooked as it takes to find one."""
    if not any(line.strip() for line in wanted):
        return []
    for tolerance, key in _KEYS.items():
        if found := _places(lines, wanted, tolerance, key):
            return found
    return []


def _places(
    lines: Sequence[str], wanted: Sequence[str], tolerance: Tolerance, key: Callable[[str], str]
) -> list[LineMatch]:
    # In the end, blank lines are overlooked, too.
    loose = tolerance is Tolerance.WHITE_SPACE
    have = [(index, key(line)) for index, line in enumerate(lines) if not loose or line.strip()]
    want = [(index, key(line)) for index, line in enumerate(wanted) if not loose or line.strip()]
    keys, sought = [text for _, text in have], [text for _, text in want]
    found = []
    for start in range(len(keys) - len(sought) + 1):
        if keys[start] == sought[0] and keys[start : start + len(sought)] == sought:
            at: list[int | None] = [None] * len(wanted)
            for offset, (index, _) in enumerate(want):
                at[index] = have[start + offset][0]
            found.append(LineMatch(tuple(at), tolerance))
    return found


def fitted(lines: Sequence[str], match: LineMatch, old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The new lines for a match: what they share with the old ones as the file has it, the rest with the file's
    indentation."""
    if match.tolerance is Tolerance.EXACT:
        return list(new)
    indents = _Indents([(old[index], lines[at]) for index, at in enumerate(match.lines) if at is not None])
    result: list[str] = []
    # With the indentation: a line that is only put deeper is a new line.
    compared = SequenceMatcher(
        None, [(_indent(line), _spaced(line)) for line in old], [(_indent(line), _spaced(line)) for line in new]
    )
    for tag, first, last, new_first, new_last in compared.get_opcodes():
        if tag == "equal":
            result += _kept(lines, match, old, first, last)
        elif tag == "replace" and last - first == new_last - new_first:
            # Line for line, since old lines of one indentation may have several in the file.
            result += [
                indents.fit(line, old[first + offset], _at(lines, match.lines[first + offset]))
                for offset, line in enumerate(new[new_first:new_last])
            ]
        elif tag != "delete":
            result += [indents.fit(line) for line in new[new_first:new_last]]
    return result


def _at(lines: Sequence[str], index: int | None) -> str:
    return "" if index is None else lines[index]


def _kept(lines: Sequence[str], match: LineMatch, old: Sequence[str], first: int, last: int) -> Sequence[str]:
    """The file's lines for some of the old ones, with all blank lines that follow where one was given."""
    at = [index for index in match.lines[first:last] if index is not None]
    if not at:
        return list(old[first:last])
    end = max(at) + 1
    while not old[last - 1].strip() and end < match.end and not lines[end].strip():
        end += 1
    return lines[min(at) : end]


class _Indents:
    """How the indentation of the lines sought maps to that of the file."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._known: dict[str, str] = {}
        for sought, there in pairs:
            if sought.strip():
                self._known.setdefault(_indent(sought), _indent(there))
        # How wide the file's indentation is for each character of the one sought: 2 for four blanks instead of two.
        by_width = sorted(self._known.items(), key=lambda pair: len(pair[0]))
        steps = [
            ((len(deeper) - len(there)) / (len(more) - len(sought)))
            for (sought, there), (more, deeper) in [*pairwise(by_width), *((("", ""), pair) for pair in by_width)]
            if len(more) > len(sought) and len(deeper) > len(there)
        ]
        self._step = steps[0] if steps else 1.0
        self._tabs = any("\t" in there for there in self._known.values())

    def fit(self, line: str, instead_of: str = "", there: str = "") -> str:
        """A new line with the indentation that the file would give it, best known from the line it replaces."""
        if not line.strip() or not self._known:
            return line
        own = _indent(line)
        if there and own == _indent(instead_of):
            return _indent(there) + line[len(own) :]
        return self._of(own) + line[len(own) :]

    def _of(self, own: str) -> str:
        known = [sought for sought in self._known if own.startswith(sought)]
        if known:
            nearest = max(known, key=len)
            more = own[len(nearest) :]
            if more and "\t" not in more:
                more = ("\t" if self._tabs else " ") * max(1, round(len(more) * self._step))
            return self._known[nearest] + more
        sought, there = next(iter(self._known.items()))
        # Less indented than anything that was matched: the file is deeper by the same piece everywhere.
        return there[: len(there) - len(sought)] + own if there.endswith(sought) else own


def _indent(line: str) -> str:
    found = _INDENT.match(line)
    return found.group() if found else ""


def nearest_miss(lines: Sequence[str], wanted: Sequence[str]) -> NearMiss | None:
    """The lines most like the wanted ones; None if nothing is alike."""
    sought = [key for line in wanted if (key := _spaced(line))]
    if not sought or not lines:
        return None
    keys = [_spaced(line) for line in lines]
    size = min(len(wanted), len(lines))
    shared = _shared_words(keys, sought, size)
    best = sorted(range(len(shared)), key=lambda start: -shared[start])[:_COMPARED]
    text = "\n".join(sought)
    scored = [
        NearMiss(start, start + size, SequenceMatcher(None, text, "\n".join(keys[start : start + size])).ratio())
        for start in best
        if shared[start]
    ]
    nearest = max(scored, key=lambda miss: miss.likeness, default=None)
    return nearest if nearest and nearest.likeness >= _WORTH_SHOWING else None


def _shared_words(keys: Sequence[str], sought: Sequence[str], size: int) -> list[int]:
    """For each place of that many lines, how many words of the sought lines are in it. A word in every third line, such
    as a bracket, says nothing about the place."""
    words = [set(re.findall(r"\w+", key)) for key in keys]
    common = Counter(word for line in words for word in line)
    wanted = {word for line in sought for word in re.findall(r"\w+", line) if common[word] * 3 <= len(keys) + 6}
    per_line = [len(line & wanted) for line in words]
    window = sum(per_line[:size])
    sums = [window]
    for start in range(1, len(keys) - size + 1):
        window += per_line[start + size - 1] - per_line[start - 1]
        sums.append(window)
    return sums

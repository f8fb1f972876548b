"""A text as agents see it, with a mark in the place of each secret, and the way back to the text itself. Pure.

A model that has read a file writes it with the marks in it. Taken at its word, that would replace the user's passwords
by the words `[redacted:password]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher

from orchestration.security.secret_search import SecretMatch

Find = Callable[[str], Sequence[SecretMatch]]

_BEGINNING = "[redacted:"
_MARK = re.compile(r"\[redacted:[a-z0-9-]{1,40}\]")
# `DB_PASSWORD = "`, of whatever is before a mark on its line.
_NAME = re.compile(r"[\w.-]+\W*$")
# Comparing takes the product of both, and a rewritten file of that size is not told apart by its lines.
_MOST_COMPARED_LINES = 3_000


class HiddenSecretError(ValueError):
    """A mark stands for one of several secrets, and nothing says which."""


def has_marks(*texts: str) -> bool:
    """Whether a mark is in one of the texts."""
    return any(_BEGINNING in text and _MARK.search(text) is not None for text in texts)


class ShownText:
    """A text with its secrets hidden. A mark that is in the text itself stands for itself."""

    def __init__(self, text: str, find: Find) -> None:
        matches = find(text)
        self._hides = bool(matches)
        self.text, values = _hidden(text, matches)
        self._lines = self.text.split("\n")
        self._by_line = list(_by_line(self._lines, values))

    def restored(self, edited: str) -> list[str]:
        """The lines of an edited version with the secrets that its marks stand for; a secret may itself have several
        lines. A mark of a kind that the text does not have is left. Raises HiddenSecretError."""
        lines = edited.split("\n")
        if not (self._hides and has_marks(edited)):
            return lines
        return [
            _filled(line, self._values_of(line, kept) if has_marks(line) else ())
            for line, kept in zip(lines, self._kept(lines), strict=True)
        ]

    def _kept(self, lines: Sequence[str]) -> list[int | None]:
        """For each line, which of the text's it was, if it has not changed."""
        found: list[int | None] = [None] * len(lines)
        old = self._lines
        same = 0
        while same < min(len(old), len(lines)) and old[same] == lines[same]:
            found[same] = same
            same += 1
        end = 0
        while end < min(len(old), len(lines)) - same and old[-1 - end] == lines[-1 - end]:
            found[-1 - end] = len(old) - 1 - end
            end += 1
        before, after = old[same : len(old) - end], lines[same : len(lines) - end]
        if max(len(before), len(after)) <= _MOST_COMPARED_LINES:
            for block in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
                for offset in range(block.size):
                    found[same + block.b + offset] = same + block.a + offset
        return found

    def _values_of(self, line: str, kept: int | None) -> list[str]:
        if kept is not None:
            return self._by_line[kept]
        alike = {
            tuple(self._by_line[number])
            for number, one in enumerate(self._lines)
            if self._by_line[number] and one.split() == line.split()
        }
        if len(alike) == 1:
            return list(alike.pop())
        return [self._value_of(found[0], line[: found.start()]) for found in _MARK.finditer(line)]

    def _value_of(self, mark: str, before: str) -> str:
        """What a mark on a new line stands for: what is assigned to that name, or the only secret of its kind."""
        there = [
            (_name_in(line[: found.start()]), value)
            for line, values in zip(self._lines, self._by_line, strict=True)
            for found, value in zip(_MARK.finditer(line), values, strict=True)
            if found[0] == mark
        ]
        name = _name_in(before)
        for chosen in ({value for other, value in there if name and other == name}, {value for _, value in there}):
            if len(chosen) == 1:
                return chosen.pop()
        if not there:
            return mark
        raise HiddenSecretError(
            f"nothing was changed: {mark} stands for a secret that you are not shown, and for which of the "
            f"{len(there)} in the file is not clear. Leave the lines with such marks as they are; change only others"
        )


def _hidden(text: str, matches: Sequence[SecretMatch]) -> tuple[str, list[str]]:
    """The text with marks, and what each mark in it stands for."""
    parts: list[str] = []
    values: list[str] = []
    at = 0
    for match in matches:
        plain = text[at : match.start]
        values += [*_MARK.findall(plain), text[match.start : match.end]]
        parts += [plain, f"{_BEGINNING}{match.kind}]"]
        at = match.end
    values += _MARK.findall(text[at:])
    return "".join([*parts, text[at:]]), values


def _by_line(lines: Sequence[str], values: Sequence[str]) -> Iterator[list[str]]:
    at = 0
    for line in lines:
        count = len(_MARK.findall(line)) if _BEGINNING in line else 0
        yield list(values[at : at + count])
        at += count


def _filled(line: str, values: Sequence[str]) -> str:
    left = iter(values)
    return _MARK.sub(lambda _: next(left), line) if values else line


def _name_in(before: str) -> str:
    found = _NAME.search(before)
    return found[0] if found else ""

"""A text as agents see it, and the way back to the text itself. Pure.

Agents see `[redacted:password]` in the place of a secret, a replacement character in the place of bytes that are no
UTF-8, and only the beginning of a very long line. A model that has read a file writes it so. Taken at its word, that
would replace the user's password by the word, and lose the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from orchestration.agents.tools.excerpt import shortened
from orchestration.security.scan import Find
from orchestration.security.secret_search import SecretMatch

_BEGINNING = "[redacted:"
_MARK = re.compile(r"\[redacted:[a-z0-9-]{1,40}\]")
_CUT = re.compile(r"\[… [0-9,]+ more\]\r?$")
_UNREADABLE = "\ufffd"
# Bytes that are no UTF-8, as `surrogateescape` decodes them.
_ESCAPED = re.compile("[\udc80-\udcff]+")
# `DB_PASSWORD = "`, of whatever is before a mark on its line.
_NAME = re.compile(r"[\w.-]+\W*$")
_INDENT = re.compile(r"\s*")
# Comparing takes the product of both, and a rewritten file of that size is not told apart by its lines.
_MOST_COMPARED_LINES = 3_000


class HiddenTextError(ValueError):
    """A mark stands for something that is not shown, and nothing says for what."""


def has_marks(*texts: str) -> bool:
    """Whether a mark of a secret is in one of the texts."""
    return any(_BEGINNING in text and _MARK.search(text) is not None for text in texts)


def hides(*texts: str) -> bool:
    """Whether one of the texts, as an agent writes it, may stand for something that it was not shown."""
    return has_marks(*texts) or any(
        _UNREADABLE in text or (" more]" in text and any(map(_CUT.search, text.split("\n")))) for text in texts
    )


class PlainText:
    """A text with nothing hidden, for an edit that has no marks."""

    def __init__(self, text: str) -> None:
        self.text = text

    def restored(self, edited: str) -> list[str]:
        """The lines of an edited version."""
        return edited.split("\n")


class ShownText:
    """A text with what agents are not shown hidden; it is given as `surrogateescape` decodes it. With `cut`, long lines
    are cut as well. A mark that is in the text itself stands for itself."""

    def __init__(self, text: str, find: Find, *, cut: bool = False) -> None:
        hidden, values = _hidden(text, find(text))
        raw = hidden.split("\n")
        self._values = list(_by_line(raw, values))
        self._originals = [_filled(line, own) for line, own in zip(raw, self._values, strict=True)]
        self._lines = [_seen(line, cut=cut) for line in raw]
        self.text = "\n".join(self._lines)
        self._hides = self._lines != self._originals

    def restored(self, edited: str) -> list[str]:
        """The lines of an edited version with what its marks stand for; a secret may itself have several lines. A mark
        of what the text does not have is left. Raises HiddenTextError."""
        lines = edited.split("\n")
        if not self._hides:
            return lines
        return [self._restored(line, kept) for line, kept in zip(lines, self._kept(lines), strict=True)]

    def _restored(self, line: str, kept: int | None) -> str:
        if kept is not None:
            return self._originals[kept]
        if _is_part(line) and (whole := self._whole(line)) is not None:
            return whole
        return _filled(line, self._values_of(line)) if has_marks(line) else line

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

    def _whole(self, line: str) -> str | None:
        """The line of which not all was shown, with the indentation that it has now; None if the text has none such."""
        partly = [(one, whole) for one, whole in zip(self._lines, self._originals, strict=True) if _is_part(one)]
        alike = {whole.lstrip() for one, whole in partly if one.strip() == line.strip()}
        if len(alike) == 1:
            return _indent(line) + alike.pop()
        if not any(one != whole for one, whole in partly):
            return None
        raise HiddenTextError(
            f"nothing was changed: of the line '{line.strip()[:60]}' you were not shown all: it is long, or has bytes "
            "that are no UTF-8. Change only other lines, with replace_in_file"
        )

    def _values_of(self, line: str) -> list[str]:
        """What the marks on a new line stand for."""
        alike = {
            tuple(values)
            for one, values in zip(self._lines, self._values, strict=True)
            if values and one.split() == line.split()
        }
        if len(alike) == 1:
            return list(alike.pop())
        return [self._value_of(found[0], line[: found.start()]) for found in _MARK.finditer(line)]

    def _value_of(self, mark: str, before: str) -> str:
        """What is assigned to the name before a mark, or the only secret of its kind."""
        there = [
            (_name_in(line[: found.start()]), value)
            for line, values in zip(self._lines, self._values, strict=True)
            for found, value in zip(_MARK.finditer(line), values, strict=False)  # of a line that was cut, not all
            if found[0] == mark
        ]
        name = _name_in(before)
        for chosen in ({value for other, value in there if name and other == name}, {value for _, value in there}):
            if len(chosen) == 1:
                return chosen.pop()
        if not there:
            return mark
        raise HiddenTextError(
            f"nothing was changed: {mark} stands for a secret that you are not shown, and for which of the "
            f"{len(there)} in the file is not clear. Leave the lines with such marks as they are; change only others"
        )


def _is_part(line: str) -> bool:
    return _UNREADABLE in line or _CUT.search(line) is not None


def _seen(line: str, *, cut: bool) -> str:
    shown = _ESCAPED.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), line)
    if not cut:
        return shown
    ending = "\r" if shown.endswith("\r") else ""  # which agents are not shown
    return shortened(shown.removesuffix("\r")) + ending


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


def _indent(line: str) -> str:
    found = _INDENT.match(line)
    return found[0] if found else ""

"""Texts as they are seen: without what a terminal, a browser or a mail program does not show, and without line breaks
in the middle of something encoded.

A secret that colour codes, zero-width characters or the end of a line cut in two is whole again for whoever copies it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Sequences that a terminal obeys (https://ecma-international.org/publications-and-standards/standards/ecma-48/), as
# they are or escaped in JSON, Python, C and shells; characters without a width, as they are or as references of HTML.
_SEQUENCE = "(?:\\[[0-?]{0,32}[ -/]{0,4}[@-~]|\\][^\x07\x1b]{0,256}(?:\x07|\x1b\\\\)|[@-Z_])"
_AS_THEY_ARE = f"\x1b{_SEQUENCE}|[\x00-\x08\x0e-\x1a\x7f\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
_IN_JSON = "u(?:00[aA][dD]|180[eE]|200[b-fB-F]|202[a-eA-E]|206[0-4]|[fF][eE][fF][fF])"
_HIDDEN = re.compile(
    f"{_AS_THEY_ARE}|\\\\(?:u001[bB]|x1[bB]|033|e){_SEQUENCE}|\\\\{_IN_JSON}"
    "|&(?:#8203|#x200[bB]|shy|ZeroWidthSpace);|<wbr ?/?>"
)
# What looks like a notation may be a part of a value: `\e@` in a password, or a backslash that JSON has escaped.
_LESS_HIDDEN = (
    re.compile(_AS_THEY_ARE),
    re.compile(f"{_AS_THEY_ARE}|(?<!\\\\)\\\\(?:u001[bB]{_SEQUENCE}|{_IN_JSON})"),
)
# Plain text is the rule: these tell fast that there is nothing to look for.
_SIGNS = ("\x1b", "<wbr", "\x00", "\x08", "\x7f")
_ESCAPES = re.compile(r"\\(?:u(?:00(?:1[bB]|[aA][dD])|180[eE]|20[026]|[fF][eE][fF])|x1[bB]|033|e[\[\]@-Z_])")
_REFERENCES = re.compile("&(?:#8203|#x200|shy|ZeroWidth)")
_MAY_NOTE = ("\\", "&", "<wbr")
_WITHOUT_WIDTH = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# The end of a line that is full of base64 or hexadecimal digits, also escaped or quoted-printable.
_WRAP = re.compile(
    r"[\r\n\\=](?<=[0-9A-Za-z+/_-]{40}.)(?:(?<=\n)|n|r\\n|\r?\n)[ \t>]{0,16}+(?=[0-9A-Za-z+/=_-])", re.DOTALL
)


# Hidden parts are few and near each other: so much around them is read as it is seen, which is longer than any token.
# Wrapped lines follow each other at once.
_AROUND_HIDDEN, _AROUND_WRAPS = 2048, 256


@dataclass(frozen=True, slots=True)
class SeenText:
    """A text without some of its parts, which knows where what is left was."""

    text: str
    _starts: tuple[int, ...]
    _shifts: tuple[int, ...]

    def origin(self, at: int) -> int:
        """Where a character was."""
        return at + self._shifts[bisect_right(self._starts, at) - 1]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part was, with what was hidden in it."""
        return self.origin(start), self.origin(end - 1) + 1


def seen_texts(text: str) -> tuple[SeenText, ...]:
    """What is around hidden parts, without them; once for each reading, where notations may be part of a value."""
    windows = tuple(_windows(sorted(_hidden_places(text)), len(text), _AROUND_HIDDEN))
    readings = (_HIDDEN, *_LESS_HIDDEN) if windows and any(sign in text for sign in _MAY_NOTE) else (_HIDDEN,)
    return tuple(_without(reading, text, *window) for reading in readings for window in windows)


def unwrapped_texts(text: str) -> tuple[SeenText, ...]:
    """What is around the ends of lines within something encoded, in one line."""
    if "\n" not in text and "\\" not in text:
        return ()
    places = [found.start() for found in _WRAP.finditer(text)]
    return tuple(_without(_WRAP, text, *window) for window in _windows(places, len(text), _AROUND_WRAPS))


def _hidden_places(text: str) -> Iterator[int]:
    for sign in _SIGNS:
        if sign in text:
            yield from (found.start() for found in re.finditer(re.escape(sign), text))
    for may_be, expression in (
        ("\\" in text, _ESCAPES),
        ("&" in text, _REFERENCES),
        (not text.isascii(), _WITHOUT_WIDTH),
    ):
        if may_be:
            yield from (found.start() for found in expression.finditer(text))


def _windows(places: Iterable[int], length: int, around: int) -> Iterator[tuple[int, int]]:
    start = end = -1
    for place in places:
        if end < 0 or place - around > end:
            if end >= 0:
                yield start, end
            start = max(0, place - around)
        end = min(length, place + around)
    if end >= 0:
        yield start, end


def _without(hidden: re.Pattern[str], text: str, start: int, end: int) -> SeenText:
    parts, starts, shifts, at, length = [], [0], [start], start, 0
    for found in hidden.finditer(text, start, end):
        parts.append(text[at : found.start()])
        length += found.start() - at
        at = found.end()
        starts.append(length)
        shifts.append(at - length)
    return SeenText("".join([*parts, text[at:end]]), tuple(starts), tuple(shifts))

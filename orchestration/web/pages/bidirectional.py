"""Text that turns its direction, kept from turning what is around it. Pure.

A title may hold the controls by which Unicode embeds or overrides a direction (U+202A to U+202E, U+2066 to U+2069).
Left open, or closed once too often, they change the order of everything that follows on the line: a file `gpj.exe` is
read as `exe.jpg`. Right-to-left writing needs them, so they are not removed; each text is isolated instead
(https://www.unicode.org/reports/tr9/, 2.4 and 2.5).
"""

from __future__ import annotations

import re

_FIRST_STRONG_ISOLATE, _POP_ISOLATE, _POP = "\u2068", "\u2069", "\u202c"
_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ISOLATES = frozenset("\u2066\u2067\u2068")


def isolated(text: str) -> str:
    """The text, isolated from its surroundings if it holds any control of direction; other texts stay as they are."""
    if not _CONTROLS.search(text):
        return text
    return f"{_FIRST_STRONG_ISOLATE}{_balanced(text)}{_POP_ISOLATE}"


def unmarked(text: str) -> str:
    """The text without controls of direction: what is copied into a shell must be what is seen."""
    return _CONTROLS.sub("", text)


def _balanced(text: str) -> str:
    """The text with every isolate and embedding closed, and without closings that close nothing."""
    kept: list[str] = []
    open_: list[str] = []
    for character in text:
        if character in (_POP_ISOLATE, _POP):
            if not open_ or open_[-1] != character:
                continue
            open_.pop()
        elif _CONTROLS.match(character):
            open_.append(_POP_ISOLATE if character in _ISOLATES else _POP)
        kept.append(character)
    return "".join([*kept, *reversed(open_)])

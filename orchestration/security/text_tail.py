"""The end of a text that grows, to be shown while it does: bounded, and without secrets."""

from __future__ import annotations

import re
from typing import Protocol

# Longer than any secret, so that one whose beginning is gone is far from the end that is shown.
_KEPT_CHARACTERS = 16_384
# Sequences that a terminal would obey (https://ecma-international.org/publications-and-standards/standards/ecma-48/),
# then single characters that hide, move or turn text.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])?")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class GrowingRedactor(Protocol):
    """The method of a redactor that is used here."""

    def growing(self, text: str) -> str: ...


class TextTail:
    """The last characters of a text that comes in parts."""

    def __init__(self, redactor: GrowingRedactor, shown: int = 300) -> None:
        self._redactor = redactor
        self._shown = shown
        self._text = ""

    def add(self, part: str) -> None:
        """Take the next part."""
        self._text += part
        # Trimmed only now and then, since each time copies all of it.
        if len(self._text) > 2 * _KEPT_CHARACTERS:
            self._text = self._text[-_KEPT_CHARACTERS:]

    def clear(self) -> None:
        """Begin another text."""
        self._text = ""

    def shown(self) -> str:
        """What may be shown of it: lines that a terminal can print, without a secret or the beginning of one."""
        plain = _CONTROLS.sub("", _rewound(_SEQUENCES.sub("", self._text[-_KEPT_CHARACTERS:])))
        return self._redactor.growing(plain).rstrip()[-self._shown :]


def _rewound(text: str) -> str:
    """The text as a terminal would show it: a progress bar writes over its line again and again."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)

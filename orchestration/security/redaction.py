"""Redaction: the one implementation that every sink uses before it writes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from orchestration.config.secrets import names_a_secret
from orchestration.security.secret_search import KINDS, SecretMatch, find_patterns, first_beginning

# Shorter values also occur in harmless text.
MINIMUM_LENGTH = 6

_KNOWN = "credential"
_RANKS = {kind: rank for rank, kind in enumerate([*KINDS, _KNOWN])}
_WORDS_OF_A_SECRET = 5
_TELLS_NOTHING = 2


class Redactor:
    """Finds secrets by their patterns, and every credential that was ever loaded. Thread-safe."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._values: tuple[str, ...] = ()
        self.remember(values)

    def remember(self, values: Iterable[str]) -> None:
        """Redact these values as well, for the life of the process: a rotated key is still in old texts."""
        spellings = {spelling for value in values if len(value) >= MINIMUM_LENGTH for spelling in _spellings(value)}
        with self._lock:
            # The longest first: a value that contains another must not be left half visible.
            self._values = tuple(sorted(spellings.union(self._values), key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text with each secret replaced by `[redacted:kind]`."""
        return _replaced(text, self.find(text), len(text))

    def growing(self, text: str) -> str:
        """The text of which more will come, redacted, and without an end that may be the beginning of a secret."""
        matches = self.find(text)
        # Not cut first and redacted then: what gives a secret away may stand behind it.
        return _replaced(text, matches, self._settled(text, matches))

    def data(self, value: Any) -> Any:
        """JSON values with all texts redacted, and everything under a key such as `password` hidden.

        Other values are converted to text first.
        """
        match value:
            case None | bool() | int() | float():
                return value
            case dict():
                return {self.text(str(key)): self._under(str(key), inner) for key, inner in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.data(inner) for inner in value]
            case _:
                return self.text(str(value))

    def find(self, text: str) -> list[SecretMatch]:
        """All secrets, in order, none overlapping another."""
        return _merge([*find_patterns(text), *self._find_known(text)])

    def _settled(self, text: str, matches: list[SecretMatch]) -> int:
        """Up to where nothing that is still to come can make a secret of the text."""
        last = matches[-1].end if matches else 0
        # What follows a secret without an end of its own may belong to it, as the lines of a private key do.
        after = text[last:]
        settled = last if matches and len(after.split()) < 2 and not after[-1:].isspace() else len(text)
        # A secret has at most two words between its beginning and its value: `Authorization: Bearer …`.
        parts = text.rsplit(None, _WORDS_OF_A_SECRET)
        begun = max(last, len(parts[0]) if len(parts) > _WORDS_OF_A_SECRET else 0)
        settled = min(settled, first_beginning(text, begun))
        return min([settled, *(len(text) - self._begun(text, value) for value in self._values)])

    def _begun(self, text: str, value: str) -> int:
        """How many characters of a known value the text ends with, if they are enough to tell anything."""
        lengths = range(min(len(value) - 1, len(text)), _TELLS_NOTHING, -1)
        return next((length for length in lengths if text.endswith(value[:length])), 0)

    def _under(self, key: str, value: Any) -> Any:
        return _hide(value) if names_a_secret(key) else self.data(value)

    def _find_known(self, text: str) -> Iterator[SecretMatch]:
        for value in self._values:
            for start in _occurrences(text, value):
                yield SecretMatch(start, start + len(value), _KNOWN)


def _replaced(text: str, matches: list[SecretMatch], end: int) -> str:
    """The text up to an end, with the matches replaced; one that goes beyond the end is replaced, too."""
    parts, at = [], 0
    for match in matches:
        if match.start >= end:
            break
        parts += [text[at : match.start], f"[redacted:{match.kind}]"]
        at = match.end
    return "".join([*parts, text[at:end]]) if parts else text[:end]


def _spellings(value: str) -> set[str]:
    """The forms in which a value can occur in a text: plain, in JSON, in a URL."""
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe="")}


def _hide(value: Any) -> Any:
    """Hide all text under a key that names a secret, at any depth; numbers such as limits and counts may stay."""
    match value:
        case None | bool() | int() | float() | "":
            return value
        case dict():
            return {key: _hide(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_hide(inner) for inner in value]
        # What is redacted already keeps its kind, which says more than "secret".
        case str() if value.startswith("[redacted:"):
            return value
        case _:
            return "[redacted:secret]"


def _occurrences(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


def _merge(matches: list[SecretMatch]) -> list[SecretMatch]:
    """Join overlapping matches, so that no part of either is visible; the more specific kind names the result."""
    merged: list[SecretMatch] = []
    for match in sorted(matches):
        if merged and match.start < merged[-1].end:
            last = merged.pop()
            kind = min(last.kind, match.kind, key=_RANKS.__getitem__)
            match = SecretMatch(last.start, max(last.end, match.end), kind)  # noqa: PLW2901
        merged.append(match)
    return merged

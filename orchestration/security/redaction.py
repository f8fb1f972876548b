"""Redaction: the one implementation that every sink uses before it writes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from orchestration.config.secrets import names_a_secret
from orchestration.security.hidden_characters import SeenText, seen_texts, unwrapped_texts
from orchestration.security.known_values import KnownValues
from orchestration.security.secret_search import KINDS, SecretMatch, find_patterns, first_beginning, is_suspected

_KNOWN = "credential"
# A value that is known is no mere suspicion, whatever stands around it.
_RANKS = {kind: rank for rank, kind in enumerate(sorted([*KINDS, _KNOWN], key=is_suspected))}
_WORDS_OF_A_SECRET = 5
_LONGEST_SEQUENCE = 32
_LONGEST_SECRET = 4096
_SHORT = 40
_MOST_KEPT = 5_000
_PLAIN = frozenset({type(None), bool, int, float})


class Redactor:
    """Finds secrets by their patterns, and every credential that was ever loaded. Thread-safe."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known = KnownValues()
        # Short texts that were redacted, with what became of them.
        self._redacted: dict[str, str] = {}
        self.remember(values)

    def remember(self, values: Iterable[str]) -> None:
        """Redact these values as well, for the life of the process: a rotated key is still in old texts."""
        with self._lock:
            self._known = self._known.with_more(values)
            self._redacted.clear()

    def text(self, text: str) -> str:
        """The text with each secret replaced by `[redacted:kind]`."""
        if len(text) > _SHORT:
            return _replaced(text, self.find(text), len(text))
        # Names of fields, routes and outcomes come again with every event.
        found = self._redacted.get(text)
        if found is None:
            known = self._known
            found = _replaced(text, self.find(text), len(text))
            self._keep(text, found, known)
        return found

    def growing(self, text: str) -> str:
        """The text of which more will come, redacted, and without an end that may be the beginning of a secret."""
        matches = self.find(text)
        # Not cut first and redacted then: what gives a secret away may stand behind it.
        return _replaced(text, matches, self._settled(text, matches))

    def data(self, value: Any) -> Any:
        """JSON values with all texts redacted, and everything under a key such as `password` hidden.

        Other values are converted to text first.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is str:
            return self.text(value)
        match value:
            case bool() | int() | float():
                return value
            case dict():
                return {self.text(str(key)): self._under(str(key), inner) for key, inner in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.data(inner) for inner in value]
            case _:
                return self.text(str(value))

    def certain(self, value: Any) -> Any:
        """JSON values without the secrets that are known, or that their own form gives away. What only stands where
        secrets do is left."""
        match value:
            case str():
                return _replaced(value, [one for one in self.find(value) if not is_suspected(one.kind)], len(value))
            case dict():
                return {key: self.certain(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.certain(inner) for inner in value]
            case _:
                return value

    def find(self, text: str) -> list[SecretMatch]:
        """All secrets, in order, none overlapping another."""
        found = [*find_patterns(text), *self._known_in(text)]
        for seen in seen_texts(text):
            found += _at_origin(seen, [*find_patterns(seen.text), *self._known_in(seen.text)])
        return _merge(found)

    def _known_in(self, text: str) -> list[SecretMatch]:
        """Known values, also where a line ends in the middle of one."""
        found = self._find_known(text)
        for whole in unwrapped_texts(text) if self._known else ():
            found += _at_origin(whole, self._find_known(whole.text))
        return found

    def _find_known(self, text: str) -> list[SecretMatch]:
        return [SecretMatch(start, end, _KNOWN) for start, end in self._known.find(text)]

    def _settled(self, text: str, matches: list[SecretMatch]) -> int:
        """Up to where nothing that is still to come can make a secret of the text."""
        last = matches[-1].end if matches else 0
        # What follows a secret without an end of its own may belong to it, as the lines of a private key do.
        after = text[last:]
        settled = last if matches and len(after.split()) < 2 and not after[-1:].isspace() else len(text)
        # So many words may be from the beginning of a secret to its value: `Authorization: Bearer …`, `token: str = …`.
        parts = text.rsplit(None, _WORDS_OF_A_SECRET)
        begun = max(last, len(parts[0]) if len(parts) > _WORDS_OF_A_SECRET else 0)
        settled = min(settled, first_beginning(text, begun))
        return min(settled, self._begun(text))

    def _begun(self, text: str) -> int:
        """Where the text may end with the beginning of a known value, as it is seen; else its end."""
        start = max(0, len(text) - _LONGEST_SECRET)
        if (escape := text.rfind("\x1b", -_LONGEST_SEQUENCE)) >= start and not _is_sequence(text[escape:]):
            text = text[:escape]  # a sequence of which not all has come
        tail = text[start:]
        # The next character may show that the line was wrapped.
        views = [seen for seen in seen_texts(tail)[-1:] if seen.origin(len(seen.text)) == len(tail)]
        begun = len(tail)
        for seen in (None, *views):
            shown = seen.text if seen else tail
            places = [len(shown) - self._known.begun(shown)]
            for whole in unwrapped_texts(f"{shown}a")[-1:]:
                length = self._known.begun(whole.text[:-1])
                places.append(whole.origin(len(whole.text) - 1 - length) if length else len(shown))
            begun = min(begun, *(seen.origin(place) if seen else place for place in places))
        return start + begun

    def _keep(self, text: str, redacted: str, known: KnownValues) -> None:
        with self._lock:
            if len(self._redacted) >= _MOST_KEPT:
                self._redacted.clear()
            # What was searched for before a value was added may hold that value.
            if known is self._known:
                self._redacted[text] = redacted

    def _under(self, key: str, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        return _hide(value) if names_a_secret(key) else self.data(value)


def _replaced(text: str, matches: list[SecretMatch], end: int) -> str:
    """The text up to an end, with the matches replaced; one that goes beyond the end is replaced, too."""
    parts, at = [], 0
    for match in matches:
        if match.start >= end:
            break
        parts += [text[at : match.start], f"[redacted:{match.kind}]"]
        at = match.end
    return "".join([*parts, text[at:end]]) if parts else text[:end]


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


def _is_sequence(text: str) -> bool:
    """Whether a sequence for terminals is complete."""
    return any(seen.origin(0) > 0 for seen in seen_texts(text))


def _at_origin(seen: SeenText, matches: Iterable[SecretMatch]) -> list[SecretMatch]:
    return [SecretMatch(*seen.span(match.start, match.end), match.kind) for match in matches]


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

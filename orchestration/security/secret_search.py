"""The search for everything that looks like a secret, in three passes, each over what can be found fast.

Tokens of vendors, and random values beside a vendor's name, contain a long run of letters and digits: only those runs
are examined. Everything else has anchors, plain pieces of text. The text is searched as Latin-1 bytes, one for each
character, so that all positions stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestration.security.secret_context import ASSIGNED_AFTER, CONTEXT_KIND, is_vendors_value
from orchestration.security.secret_patterns import GIVEN_AWAY_BY_CONTEXT, PATTERNS, SecretPattern
from orchestration.security.secret_values import has_randomness
from orchestration.security.token_shapes import shape_anchor, shape_expression
from orchestration.security.vendor_tokens import vendor_tokens


@dataclass(frozen=True, slots=True, order=True)
class SecretMatch:
    """The position of a secret in a text, from `start` until before `end`; it does not contain the secret itself."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Token:
    """A token of a vendor. `lead` is how many characters may be before its anchor; one that `has_signs` may have none
    of the long runs by which tokens are found."""

    kind: str
    anchor: str
    expression: re.Pattern[str]
    lead: tuple[int, int] = (0, 0)
    has_signs: bool = False

    @property
    def is_weak(self) -> bool:
        """Whether its beginning also occurs by chance, in base64."""
        return len(self.anchor) <= _WEAK and self.anchor.isalnum()


_WEAK = 3
_LONGEST_ADDRESS = 4096
_SHORTEST = len("pwd=abcd")
_SHORTEST_RUN = 20
_RUN = b"a" * _SHORTEST_RUN
_LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _table(characters: bytes) -> bytes:
    return bytes(ord("a") if code in characters else ord(" ") for code in range(256))


_DIGEST = re.compile(r"(?:(?<![^\s\"'`=,])|(?<=sha256:)|(?<=sha512:))[0-9a-f]{32,128}+(?![\w-])")
# A run is what every token has in it; a stretch is what a whole token may consist of.
_RUNS = _table(_LETTERS + b"_-")
_STRETCHES = _table(_LETTERS + b"_-.~:|=+/%$")


# The alphabets of base64, and of what has stops in it.
_SIGNS = re.compile("<[bet]")


def _tokens() -> Iterator[_Token]:
    for kind, shapes in vendor_tokens():
        for shape in shapes:
            lead, anchor = shape_anchor(shape)
            yield _Token(kind, anchor, re.compile(shape_expression(shape)), lead, _SIGNS.search(shape) is not None)


# Names in code are long, too, but hardly a token has no digit.
_DIGIT = re.compile("[0-9]")
_CAPITAL = re.compile("[A-Z]")


def _beginning() -> re.Pattern[str]:
    anchors = {token.anchor for token in _tokens() if token.lead == (0, 0) and not token.is_weak}
    return re.compile("|".join(map(re.escape, sorted(anchors))))


def _is_machine_made(text: str, start: int, end: int) -> bool:
    """Whether a stretch may be a token: it has a digit, or, where chance has given it none, a token's beginning and
    capitals, which hardly a name with underscores has."""
    if _DIGIT.search(text, start, end):
        return True
    return _CAPITAL.search(text, start, end) is not None and _BEGINNING.search(text, start, end) is not None


def _by_beginning() -> dict[str, tuple[_Token, ...]]:
    """The tokens by their first two characters."""
    found: dict[str, tuple[_Token, ...]] = {}
    for token in _tokens():
        if token.lead == (0, 0):
            found[token.anchor[:2]] = (*found.get(token.anchor[:2], ()), token)
    return found


def _by_anchor() -> dict[bytes, tuple[SecretPattern, ...]]:
    found: dict[bytes, tuple[SecretPattern, ...]] = {}
    for pattern in PATTERNS:
        for anchor in pattern.anchors:
            found[anchor.encode()] = (*found.get(anchor.encode(), ()), pattern)
    return found


def _breaks() -> re.Pattern[str]:
    """The places where a token may begin: not inside a longer word, but after an escaped character such as `%20`."""
    seconds: dict[str, str] = {}
    for beginning in _BY_BEGINNING:
        seconds[beginning[0]] = seconds.get(beginning[0], "") + beginning[1]
    pairs = "|".join(f"{re.escape(first)}[{re.escape(second)}]" for first, second in seconds.items())
    return re.compile(rf"(?:%[0-9A-Fa-f]{{2}}|[^0-9A-Za-z_])(?={pairs})")


_BY_BEGINNING = _by_beginning()
_BEGINNING = _beginning()
# One expression for each beginning: most often, none of the tokens that begin so is there.
_BEGUN = {
    beginning: re.compile("|".join(token.expression.pattern for token in tokens))
    for beginning, tokens in _BY_BEGINNING.items()
}
_BREAKS = _breaks()
_ANCHORED = tuple(token for token in _tokens() if token.lead != (0, 0) or (token.has_signs and not token.is_weak))
_BY_ANCHOR = _by_anchor()
_BEGINNINGS = re.compile(
    "|".join(
        [
            *sorted({rf"(?<![0-9A-Za-z]){re.escape(token.anchor)}" for token in _tokens() if token.lead == (0, 0)}),
            *(rf"(?i:{re.escape(anchor.decode())}(?![a-z]{{0,12}}[.!?;)](?:\s|\Z)))" for anchor in _BY_ANCHOR),
            # The last word, when it looks as if a machine had made it: a vendor's name may be before it.
            r"[0-9A-Za-z_.:+/~-]{0,255}[0-9][0-9A-Za-z_.:+/~-]{3,255}\Z",
        ]
    )
)
# The order decides what an overlap is called: the more telling kind first.
KINDS: tuple[str, ...] = tuple(
    dict.fromkeys(
        ["private-key", *(kind for kind, _ in vendor_tokens()), *(pattern.kind for pattern in PATTERNS), CONTEXT_KIND]
    )
)
_SUSPECTED = GIVEN_AWAY_BY_CONTEXT | {CONTEXT_KIND}


def is_suspected(kind: str) -> bool:
    """Whether secrets of that kind are given away only by what stands around them: they may as well be values of an
    example or of a test."""
    return kind in _SUSPECTED


def find_patterns(text: str) -> Iterator[SecretMatch]:
    """Everything in a text that looks like a secret, in no order; matches may overlap."""
    if len(text) < _SHORTEST:
        return
    data = text.encode("latin-1", "replace")
    runs = data.translate(_RUNS)
    if _RUN in runs:
        yield from _in_runs(text, runs, data.translate(_STRETCHES))
    for token in _ANCHORED:
        if token.anchor in text:
            yield from _around_anchors(token, text)
    lowered = data.lower()
    for anchor, patterns in _BY_ANCHOR.items():
        if (start := lowered.find(anchor)) >= 0:
            yield from _at_anchors(patterns, anchor, text, lowered, start)


def first_beginning(text: str, start: int) -> int:
    """The first place, from a start on, where a secret may begin that is not complete; the end of the text if there is
    none."""
    found = _BEGINNINGS.search(text, start)
    return found.start() if found else len(text)


def _around_anchors(token: _Token, text: str) -> Iterator[SecretMatch]:
    at = text.find(token.anchor)
    while at >= 0:
        for start in range(at - token.lead[0], max(-1, at - token.lead[1] - 1), -1):
            before = text[start - 1 : start] if start else ""
            if before.isalnum() or before == "_":
                continue
            if (found := token.expression.match(text, start)) and has_randomness(found[0]):
                yield SecretMatch(start, found.end(), token.kind)
        at = text.find(token.anchor, at + len(token.anchor))


def _at_anchors(
    patterns: tuple[SecretPattern, ...], anchor: bytes, text: str, lowered: bytes, start: int
) -> Iterator[SecretMatch]:
    ends = [0] * len(patterns)
    while start >= 0:
        for number, pattern in enumerate(patterns):
            if start < ends[number]:
                continue
            if (found := pattern.expression.match(text, start)) and pattern.accepts(text, found):
                ends[number] = found.end()
                yield SecretMatch(*found.span(found.lastgroup or 0), pattern.kind)
        start = lowered.find(anchor, start + len(anchor))


def _in_runs(text: str, runs: bytes, stretches: bytes) -> Iterator[SecretMatch]:
    at = runs.find(_RUN)
    while at >= 0:
        if digest := _DIGEST.match(text, at):
            # Most long runs in files of locks and logs; no token of the table is hexadecimal from its beginning.
            if text[at - 1 : at] != ":":
                yield from _vendors_values_in(text, runs, at, digest.end())
            at = runs.find(_RUN, digest.end())
            continue
        start = stretches.rfind(b" ", 0, at) + 1
        end = stretches.find(b" ", at)
        end = len(text) if end < 0 else end
        if _is_machine_made(text, start, end):
            yield from _tokens_in(text, start, end)
            yield from _vendors_values_in(text, runs, at, min(end, at + _LONGEST_ADDRESS))
        at = runs.find(_RUN, end)


def _tokens_in(text: str, start: int, end: int) -> Iterator[SecretMatch]:
    done = 0
    for at in _starts(text, start, end):
        beginning = text[at : at + 2]
        if at < done or beginning not in _BEGUN or _BEGUN[beginning].match(text, at) is None:
            continue
        for token in _BY_BEGINNING[beginning]:
            if token.is_weak and text[at - 1 : at] in ("+", "/"):
                continue
            if (found := token.expression.match(text, at)) and has_randomness(found[0]):
                done = found.end()
                yield SecretMatch(at, done, token.kind)
                break


def _starts(text: str, start: int, end: int) -> Iterator[int]:
    """Where a token may begin in a stretch."""
    yield start
    if text[start - 1 : start] == "\\":
        yield start + 1
    for found in _BREAKS.finditer(text, start, end):
        yield found.end()


def _vendors_values_in(text: str, runs: bytes, at: int, end: int) -> Iterator[SecretMatch]:
    while 0 <= at < end:
        stop = runs.find(b" ", at)
        stop = len(text) if stop < 0 else stop
        if text[at - 1 : at] in ASSIGNED_AFTER and is_vendors_value(text, at, stop):
            yield SecretMatch(at, stop, CONTEXT_KIND)
        at = runs.find(_RUN, stop)

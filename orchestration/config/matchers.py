"""Label matchers in Alertmanager's syntax: `name="value"`, `name!="value"`, `name=~"regex"`, `name!~"…"`. Pure.

Regular expressions are RE2's (https://github.com/google/re2/wiki/Syntax), as Alertmanager's are. They take linear time:
a pattern such as `(a+)+b`, which keeps Python's own module busy for ever, must not halt the process.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestration.errors import UsageError

_FORM = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_LONGEST = 500  # a pattern from an API request; longer ones only serve to slow the matching down


class _Expression(Protocol):
    def fullmatch(self, text: str) -> object: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. As in Alertmanager, a missing label counts as empty, and a regular expression has to
    match the whole value."""

    name: str
    operator: str
    value: str
    _expression: _Expression | None = field(default=None, compare=False, repr=False)

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet the condition."""
        actual = labels.get(self.name, "")
        if self._expression is None:
            return (actual == self.value) is (self.operator == "=")
        return bool(self._expression.fullmatch(_encodable(actual))) is (self.operator == "=~")

    def __str__(self) -> str:
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.name}{self.operator}"{quoted}"'


def parse_matcher(text: str) -> Matcher:
    """Parse one matcher; the quotes around the value are optional. Raises UsageError."""
    match = _FORM.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        raise UsageError(f'expected a matcher such as agent="planner" or host=~"web.*", got {text[:80]!r}')
    name, operator, value = match[1], match[2], _unquoted(match[3])
    if operator in ("=", "!="):
        return Matcher(name, operator, value)
    return Matcher(name, operator, value, _compiled(name, operator, value))


def _compiled(name: str, operator: str, value: str) -> _Expression:
    # Only silences and rules with an expression need the library, and loading it takes a program's start longer.
    import re2  # type: ignore[import-untyped]  # it comes without types

    options = re2.Options()
    # Values of labels may have line breaks, and a match has to cover the whole value.
    options.dot_nl = True
    options.log_errors = False
    try:
        expression: _Expression = re2.compile(_encodable(value), options)
    except re2.error as error:
        raise UsageError(
            f"expected a regular expression of RE2 after {name}{operator}, got {value[:80]!r}: {_text(error)}"
        ) from error
    return expression


def parse_matchers(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Parse several matchers. Raises UsageError."""
    return tuple(parse_matcher(text) for text in texts)


def all_fit(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether the labels meet every condition; without conditions, all labels do."""
    return all(matcher.fits(labels) for matcher in matchers)


def _encodable(text: str) -> str:
    """The text without halves of surrogate pairs, which have no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _text(error: Exception) -> str:
    (said, *_) = error.args or ("it cannot be read",)
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return value

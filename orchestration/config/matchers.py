"""Label matchers in Alertmanager's syntax: `name="value"`, `name!="value"`, `name=~"regex"`, `name!~"…"`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestration.errors import UsageError

_FORM = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_LONGEST = 500  # a pattern from an API request; longer ones only serve to slow the matching down


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. As in Alertmanager, a missing label counts as empty, and a regular expression has to
    match the whole value."""

    name: str
    operator: str
    value: str
    _expression: re.Pattern[str] | None = field(default=None, compare=False, repr=False)

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet the condition."""
        actual = labels.get(self.name, "")
        if self._expression is None:
            return (actual == self.value) is (self.operator == "=")
        return bool(self._expression.fullmatch(actual)) is (self.operator == "=~")

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
    try:
        # Values of labels may have line breaks, and a match has to cover the whole value.
        return Matcher(name, operator, value, re.compile(value, re.DOTALL))
    except re.error as error:
        raise UsageError(
            f"expected a regular expression after {name}{operator}, got {value[:80]!r}: {error}"
        ) from error


def parse_matchers(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Parse several matchers. Raises UsageError."""
    return tuple(parse_matcher(text) for text in texts)


def all_fit(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether the labels meet every condition; without conditions, all labels do."""
    return all(matcher.fits(labels) for matcher in matchers)


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return value

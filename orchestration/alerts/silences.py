"""Silences and maintenance windows: alerts that are not reported for a time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestration.config.matchers import Matcher, all_fit, parse_matchers
from orchestration.errors import UsageError
from orchestration.storage.silences import SilenceKind, SilenceRow


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence with its matchers parsed."""

    id: str
    kind: SilenceKind
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime

    def covers(self, labels: Mapping[str, str], now: datetime) -> bool:
        """Whether it is in force and matches. Without matchers it matches nothing, never everything."""
        in_force = self.starts_at <= now < self.ends_at
        return in_force and bool(self.matchers) and all_fit(self.matchers, labels)


def validate_matchers(texts: Sequence[str], redact: Callable[[str], str] = str) -> tuple[Matcher, ...]:
    """Parse the matchers of a new silence. Raises UsageError, also if they would match every alert.

    A secret in a value is redacted, as it is in the labels that it is compared with.
    """
    matchers = tuple(_redacted(matcher, redact) for matcher in parse_matchers(texts))
    # At least one matcher must not match the empty value, as Alertmanager requires of its silences too: an empty target
    # has to mean refusal, never "everything".
    if all_fit(matchers, {}):
        raise UsageError(
            'name the alerts to mute by at least one matcher such as agent="planner"; '
            f"{', '.join(map(str, matchers)) or 'no matcher'} would mute everything"
        )
    return matchers


def _redacted(matcher: Matcher, redact: Callable[[str], str]) -> Matcher:
    value = redact(matcher.value)
    if value == matcher.value:
        return matcher
    if matcher.operator not in ("=", "!="):
        raise UsageError(f"The expression after {matcher.name}{matcher.operator} holds a secret. Leave it out.")
    return replace(matcher, value=value)


def parse_silences(rows: Iterable[SilenceRow]) -> tuple[Silence, ...]:
    """The silences whose matchers can be parsed; one that cannot must not mute anything."""
    return tuple(silence for row in rows if (silence := _parse(row)) is not None)


def _parse(row: SilenceRow) -> Silence | None:
    try:
        return Silence(row.id, row.kind, parse_matchers(row.matchers), row.starts_at, row.ends_at)
    except UsageError:
        return None

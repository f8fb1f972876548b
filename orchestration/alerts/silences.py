"""Silences and maintenance windows: what is not told for a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.config.matchers import Matcher, all_fit, parse_matchers
from orchestration.errors import UsageError
from orchestration.storage.silences import SilenceKind, SilenceRow


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence, ready to be compared with alerts."""

    id: str
    kind: SilenceKind
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime

    def covers(self, labels: Mapping[str, str], now: datetime) -> bool:
        """Whether it is in force and fits. Without a matcher it fits nothing, never everything."""
        in_force = self.starts_at <= now < self.ends_at
        return in_force and bool(self.matchers) and all_fit(self.matchers, labels)


def checked_matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """Read the matchers of a new silence. Raises UsageError, too, when they would fit everything there is."""
    matchers = parse_matchers(texts)
    if all_fit(matchers, {}):
        raise UsageError(
            'expected at least one matcher that says which alerts are meant, such as agent="planner", got '
            f"{', '.join(map(str, matchers)) or 'none'}, which would mute everything"
        )
    return matchers


def readable(rows: Iterable[SilenceRow]) -> tuple[Silence, ...]:
    """The silences that can be read; one that cannot must not mute anything."""
    return tuple(silence for row in rows if (silence := _read(row)) is not None)


def _read(row: SilenceRow) -> Silence | None:
    try:
        return Silence(row.id, row.kind, parse_matchers(row.matchers), row.starts_at, row.ends_at)
    except UsageError:
        return None

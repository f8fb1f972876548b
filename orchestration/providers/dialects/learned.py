"""What refusals and lists of models have taught about one route, as it is kept and shared between processes. Pure.

Each fact costs a refused request to learn, so processes share them and a restart keeps them. They expire: the server
may have been corrected, or another version of the model may answer under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from orchestration.providers.dialects.dialect import AnswerForm, Dialect, ToolForm, combined

_USUAL = Dialect()
LIFETIME_SECONDS = 24 * 3600.0
# A clock that was set back leaves times in the future, which would never expire.
_AHEAD_SECONDS = 60.0
_ENUMS = {"tools": ToolForm, "answer": AnswerForm}


@dataclass(frozen=True, slots=True)
class LearnedDialect:
    """What is known of a route. `window` is the context in tokens that a refusal has named, `listed` the one that the
    list of models says. Times are seconds since 1970; what was learned before `forgotten_at` does not count."""

    dialect: Dialect = field(default_factory=Dialect)
    window: int | None = None
    learned_at: float = 0.0
    listed: int | None = None
    listed_at: float = 0.0
    forgotten_at: float = 0.0

    @property
    def known_window(self) -> int | None:
        """The smaller of the contexts that are known."""
        return min((size for size in (self.window, self.listed) if size is not None), default=None)

    @property
    def is_empty(self) -> bool:
        undated = not self.learned_at and not self.listed_at and self.window is None and self.listed is None
        return undated and self.dialect == _USUAL

    @property
    def last_at(self) -> float:
        """When the latest of it was learned, in seconds since 1970."""
        return max(self.learned_at, self.listed_at)

    @property
    def expires_at(self) -> float:
        """When the last of it expires, in seconds since 1970."""
        return self.last_at + LIFETIME_SECONDS

    def with_dialect(self, dialect: Dialect, now: float) -> LearnedDialect:
        """The same after a refusal has taught another dialect."""
        return replace(self, dialect=dialect, learned_at=now)

    def with_window(self, window: int, now: float) -> LearnedDialect:
        """The same after a refusal has named the context."""
        return replace(self, window=window, learned_at=now)

    def with_listed(self, listed: int | None, now: float) -> LearnedDialect:
        """The same after the list of models was read. The time is renewed now and then only, since each change is
        written to the database."""
        fresh = listed == self.listed and now - self.listed_at < LIFETIME_SECONDS / 2
        return self if listed is None or fresh else replace(self, listed=listed, listed_at=now)

    def current(self, now: float) -> LearnedDialect:
        """What of it still counts."""
        if self.is_empty:
            return self
        kept = self
        if not self._counts(self.learned_at, now):
            kept = replace(kept, dialect=Dialect(), window=None, learned_at=0.0)
        if not self._counts(self.listed_at, now):
            kept = replace(kept, listed=None, listed_at=0.0)
        return kept

    def merged(self, other: LearnedDialect, now: float) -> LearnedDialect:
        """What two processes know together: in any order the same, so that all of them come to agree."""
        forgotten = max(self.forgotten_at, other.forgotten_at)
        one, two = (replace(each, forgotten_at=forgotten).current(now) for each in (self, other))
        listing = max((one, two), key=lambda each: (each.listed_at, -(each.listed or 0)))
        return LearnedDialect(
            dialect=combined(one.dialect, two.dialect),
            window=min((each.window for each in (one, two) if each.window is not None), default=None),
            learned_at=max(one.learned_at, two.learned_at),
            listed=listing.listed,
            listed_at=listing.listed_at,
            forgotten_at=forgotten,
        )

    def facts(self) -> Iterator[str]:
        """What is known, for people."""
        known = self.dialect
        if known.tools is ToolForm.TEXT:
            yield "tools in words"
        if known.answer is not AnswerForm.SCHEMA:
            yield "answers as JSON without a schema" if known.answer is AnswerForm.OBJECT else "answers in words"
        if known.merged_roles:
            yield "roles alternate"
        if not known.system_role:
            yield "no system role"
        if known.plain_ids:
            yield "short ids of calls"
        if known.completion_tokens:
            yield "max_completion_tokens"
        if known.left_out:
            yield f"without {', '.join(sorted(known.left_out))}"
        if self.window is not None:
            yield f"context of {self.window:,} tokens by a refusal"
        if self.listed is not None:
            yield f"context of {self.listed:,} tokens by the list of models"

    def as_json(self) -> dict[str, Any]:
        """As it is stored; without what says nothing."""
        usual = LearnedDialect()
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "dialect"}
        stored = {name: value for name, value in values.items() if value != getattr(usual, name)}
        return {**stored, **({"dialect": _stored(self.dialect)} if self.dialect != Dialect() else {})}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LearnedDialect:
        """As it was stored. Raises ValueError for anything else; what a later release has added is left out."""
        known = {one.name for one in fields(cls)} - {"dialect"}
        values = {name: value for name, value in stored.items() if name in known}
        dialect = stored.get("dialect", {})
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values())
        if not numbers or not isinstance(dialect, Mapping):
            raise ValueError(f"not what is learned of a route: {stored}")
        return cls(dialect=_dialect(dialect), **values)

    def _counts(self, at: float, now: float) -> bool:
        return self.forgotten_at < at <= now + _AHEAD_SECONDS and now < at + LIFETIME_SECONDS


def _stored(dialect: Dialect) -> dict[str, Any]:
    values = {one.name: getattr(dialect, one.name) for one in fields(dialect)}
    changed = {name: value for name, value in values.items() if value != getattr(Dialect(), name)}
    return {name: sorted(value) if name == "left_out" else value for name, value in changed.items()}


def _dialect(stored: Mapping[str, Any]) -> Dialect:
    known = {one.name for one in fields(Dialect)}
    values = {name: value for name, value in stored.items() if name in known}
    for name, kind in _ENUMS.items():
        if name in values:
            values[name] = kind(values[name])
    if "left_out" in values:
        values["left_out"] = frozenset(map(str, values["left_out"]))
    return Dialect(**values)

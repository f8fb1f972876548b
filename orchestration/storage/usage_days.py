"""What was used on each day, summed while it is recorded: a report need not read the calls of a month."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from orchestration.domain.usage import UsageGrouping
from orchestration.storage import budget_accounts
from orchestration.storage.charge import SERVED, Charge, client_of
from orchestration.storage.database import Database
from orchestration.storage.tables import spend, usage_days

_KEYS = ("day", "client", "team", "agent", "provider", "model")
_COUNTS = (
    *("requests", "refused", "failed", "unpriced", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("cache_written_tokens", "thinking_tokens", "usd"),
)
_OLDER_COUNTS = ("requests", "unpriced", "prompt_tokens", "completion_tokens", "usd")
# Not a parameter: PostgreSQL would take that of SELECT and that of GROUP BY for different values.
_SLASH = sa.literal_column("'/'", sa.String)
_COLUMNS: Mapping[UsageGrouping, sa.ColumnElement[str]] = {
    UsageGrouping.KEY: usage_days.c.client,
    UsageGrouping.TEAM: usage_days.c.team,
    UsageGrouping.AGENT: usage_days.c.agent,
    UsageGrouping.PROVIDER: usage_days.c.provider,
    UsageGrouping.MODEL: usage_days.c.provider + _SLASH + usage_days.c.model,
    UsageGrouping.DAY: usage_days.c.day,
}


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one subject has used. `unpriced` are the requests whose price is not known, so that `usd` lacks them."""

    name: str
    requests: int = 0
    refused: int = 0
    failed: int = 0
    unpriced: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_written_tokens: int = 0
    thinking_tokens: int = 0
    usd: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class UsageSelection:
    """The days of a report, both included, and whose usage it is about; None leaves a condition out, and an empty name
    is nobody's."""

    first: date
    last: date
    client: str | None = None
    team: str | None = None
    agent: str | None = None
    provider: str | None = None
    model: str | None = None


class UsageDays:
    """The sums in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, selection: UsageSelection, *groupings: UsageGrouping) -> Mapping[UsageGrouping, list[UsageRow]]:
        """The usage by each grouping; the most expensive first, days in their order."""
        self._count_older()
        with self._database.read() as connection:
            return {grouping: _grouped(connection, selection, grouping) for grouping in groupings}

    def total(self, selection: UsageSelection) -> UsageRow:
        """All of it in one row, without a name."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(*_sums()).where(*_conditions(selection))).one()
        return _row("", row)

    def _count_older(self) -> None:
        """Count what an earlier version has recorded, before an upgrade or during one: a day at a time, since nobody
        else can write meanwhile."""
        while (at := self._uncounted()) is not None:
            with self._database.write(exclusive=budget_accounts.LOCK) as connection:
                _count_day(connection, at.date())

    def _uncounted(self) -> datetime | None:
        """The time of a call that is in no day yet."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(spend.c.at).where(spend.c.outcome.is_(None)).limit(1)).first()
        return None if row is None else row.at


def add(connection: sa.Connection, charges: Iterable[Charge]) -> None:
    """Add charges to the sums of their days, within a transaction that holds the lock of the accounts."""
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for charge in charges:
        sums[_key(charge)].update(_counts(charge))
    for key, counts in sums.items():
        _add(connection, key, counts)


def _add(connection: sa.Connection, key: Sequence[str], counts: Mapping[str, Any]) -> None:
    names = dict(zip(_KEYS, key, strict=True))
    same = sa.and_(*(usage_days.c[name] == value for name, value in names.items()))
    more = {name: usage_days.c[name] + count for name, count in counts.items() if count}
    if not connection.execute(sa.update(usage_days).where(same).values(**more)).rowcount:
        connection.execute(sa.insert(usage_days).values(**names, **{name: counts.get(name, 0) for name in _COUNTS}))


def _count_day(connection: sa.Connection, day: date) -> None:
    begins = datetime.combine(day, time(), UTC)
    its = (spend.c.at >= begins) & (spend.c.at < begins + timedelta(days=1)) & spend.c.outcome.is_(None)
    for agent, provider, model, *counts in connection.execute(_older(its)).all():
        client = client_of(agent)
        key = (day.isoformat(), client or "", "", "" if client else agent or "", provider, model)
        _add(connection, key, dict(zip(_OLDER_COUNTS, counts, strict=True)))
    connection.execute(sa.update(spend).where(its).values(outcome=SERVED))


def _key(charge: Charge) -> tuple[str, ...]:
    agent = "" if charge.client is not None else charge.agent or ""
    return (
        charge.at.astimezone(UTC).date().isoformat(), charge.client or "", charge.team or "", agent,
        charge.provider, charge.model,
    )  # fmt: skip


def _counts(charge: Charge) -> dict[str, Any]:
    return {
        "requests": 1,
        "refused": int(charge.is_refused),
        "failed": int(charge.is_failed),
        "unpriced": int(charge.usd is None and charge.amount.tokens > 0),
        "prompt_tokens": charge.prompt_tokens,
        "completion_tokens": charge.completion_tokens,
        "cached_tokens": charge.cached_tokens,
        "cache_written_tokens": charge.cache_written_tokens,
        "thinking_tokens": charge.thinking_tokens,
        "usd": charge.usd or 0.0,
    }


def _older(its: sa.ColumnElement[bool]) -> sa.Select[Any]:
    by = (spend.c.agent, spend.c.provider, spend.c.model)
    sums = (sa.func.coalesce(sa.func.sum(spend.c[name]), 0) for name in ("prompt_tokens", "completion_tokens", "usd"))
    unpriced = sa.func.sum(sa.case((spend.c.usd.is_(None), 1), else_=0))
    return sa.select(*by, sa.func.count(), unpriced, *sums).where(its).group_by(*by)


def _grouped(connection: sa.Connection, selection: UsageSelection, grouping: UsageGrouping) -> list[UsageRow]:
    column = _COLUMNS[grouping]
    query = sa.select(column, *_sums()).where(*_conditions(selection)).group_by(column)
    rows = [_row(name, counts) for name, *counts in connection.execute(query)]
    if grouping is UsageGrouping.DAY:
        return sorted(rows, key=lambda row: row.name)
    return sorted(rows, key=lambda row: (-row.usd, -row.tokens, -row.requests, row.name))


def _sums() -> list[sa.ColumnElement[Any]]:
    return [sa.func.coalesce(sa.func.sum(usage_days.c[name]), 0) for name in _COUNTS]


def _row(name: str, counts: Sequence[Any]) -> UsageRow:
    found = dict(zip(_COUNTS, counts, strict=True))
    usd = float(found.pop("usd"))
    # PostgreSQL's sums of whole numbers are decimals.
    return UsageRow(name, usd=usd, **{count: int(value) for count, value in found.items()})


def _conditions(selection: UsageSelection) -> list[sa.ColumnElement[bool]]:
    days = usage_days.c.day.between(selection.first.isoformat(), selection.last.isoformat())
    names = {name: getattr(selection, name) for name in _KEYS[1:]}
    return [days, *(usage_days.c[name] == value for name, value in names.items() if value is not None)]

"""The model calls and what they have used, each recorded once, in its day and in its budgets, too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.events import Event
from orchestration.events.providers import ModelCallFailed, ModelCallFinished
from orchestration.storage import budget_accounts, usage_days
from orchestration.storage.charge import Charge
from orchestration.storage.database import Database
from orchestration.storage.tables import spend

# Not as parameters: PostgreSQL would take those of SELECT and of GROUP BY for different values.
_NOBODY, _SLASH = sa.literal_column("''", sa.String), sa.literal_column("'/'", sa.String)


class Spend:
    """Charges in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, charge: Charge) -> bool:
        """Add a charge; False, and no change, if its key was added before: a repeated step is charged once."""
        with self._database.write(exclusive=budget_accounts.LOCK) as connection:
            return bool(add_charges(connection, [charge]))

    def add_all(self, charges: Sequence[Charge]) -> None:
        """Add those of the charges that are new."""
        with self._database.write(exclusive=budget_accounts.LOCK) as connection:
            add_charges(connection, charges)

    def add_events(self, events: Sequence[Event]) -> None:
        """Add what the model calls among these events have used; those under a budget were charged when they ended."""
        found = [_charge(event) for event in events]
        if charges := [charge for charge in found if charge is not None]:
            self.add_all(charges)

    def totals(
        self, run_id: str | None = None, agent: str | None = None, since: datetime | None = None
    ) -> tuple[int, float]:
        """Tokens and dollars used by a run, by one agent in it, or since a time; None leaves a condition out."""
        # In SQL the sum of no rows is NULL, not 0.
        tokens = sa.func.coalesce(sa.func.sum(spend.c.prompt_tokens + spend.c.completion_tokens), 0)
        query = sa.select(tokens, sa.func.coalesce(sa.func.sum(spend.c.usd), 0.0))
        if run_id is not None:
            query = query.where(spend.c.run_id == run_id)
        if agent is not None:
            query = query.where(spend.c.agent == agent)
        if since is not None:
            query = query.where(spend.c.at >= since)
        with self._database.read() as connection:
            row = connection.execute(query).one()
            return int(row[0]), float(row[1])

    def by_run(self, run_ids: Collection[str]) -> Mapping[str, tuple[int, float]]:
        """Tokens and dollars used by each of the runs; runs without use are left out."""
        return self._by(spend.c.run_id, spend.c.run_id.in_(run_ids))

    def by_provider(self, since: datetime) -> Mapping[str, tuple[int, float]]:
        """Tokens and dollars used at each provider since a time."""
        return self._by(spend.c.provider, spend.c.at >= since)

    def by_agent(self, since: datetime, until: datetime) -> Mapping[str, tuple[int, float]]:
        """Tokens and dollars used by each agent in a time; of calls that no agent made the name is empty."""
        return self._by(sa.func.coalesce(spend.c.agent, _NOBODY), (spend.c.at >= since) & (spend.c.at < until))

    def by_route(self, since: datetime, until: datetime) -> Mapping[str, tuple[int, float]]:
        """Tokens and dollars used with each model in a time, by `provider/model`."""
        return self._by(spend.c.provider + _SLASH + spend.c.model, (spend.c.at >= since) & (spend.c.at < until))

    def _by(self, column: sa.ColumnElement[Any], condition: sa.ColumnElement[bool]) -> Mapping[str, tuple[int, float]]:
        count = spend.c.prompt_tokens + spend.c.completion_tokens
        dollars = sa.func.coalesce(sa.func.sum(spend.c.usd), 0.0)
        # Calls that were refused are recorded, too, and have used nothing.
        query = sa.select(column, sa.func.sum(count), dollars).where(condition, count > 0).group_by(column)
        with self._database.read() as connection:
            return {name: (int(count), float(usd)) for name, count, usd in connection.execute(query)}


def add_charges(connection: sa.Connection, charges: Sequence[Charge]) -> list[Charge]:
    """Add charges within a transaction that holds the lock of the accounts; those that are new are returned."""
    keys = [charge.key for charge in charges]
    known = set(connection.execute(sa.select(spend.c.key).where(spend.c.key.in_(keys))).scalars())
    new = list({charge.key: charge for charge in charges if charge.key not in known}.values())
    if new:
        connection.execute(
            sa.insert(spend), [{c.name: getattr(charge, c.name) for c in spend.columns} for charge in new]
        )
        usage_days.add(connection, new)
        budget_accounts.count(connection, new)
    return new


def _charge(event: Event) -> Charge | None:
    call = event.payload
    if not isinstance(call, ModelCallFinished | ModelCallFailed):
        return None
    if (use := call.use) is not None:
        provider, _, model = use.route.partition("/")
        return Charge(
            use.key, event.run_id, event.agent, provider, model, use.prompt_tokens, use.completion_tokens, use.usd,
            event.at, use.team, call.outcome, use.cached_tokens, use.cache_written_tokens, use.thinking_tokens,
        )  # fmt: skip
    # Of an earlier version. A call without a key has no identity by which a repeated event would be recognised.
    if not isinstance(call, ModelCallFinished) or not call.key:
        return None
    provider, _, model = call.route.partition("/")
    tokens = call.prompt_tokens, call.completion_tokens
    return Charge(call.key, event.run_id, event.agent, provider, model, *tokens, call.usd, event.at)

"""The cost of model calls, each recorded once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.events import Event
from orchestration.events.providers import ModelCallFinished
from orchestration.storage.database import Database
from orchestration.storage.tables import spend

# Not as parameters: PostgreSQL would take those of SELECT and of GROUP BY for different values.
_NOBODY, _SLASH = sa.literal_column("''", sa.String), sa.literal_column("'/'", sa.String)


@dataclass(frozen=True, slots=True)
class Charge:
    """The cost of one call; `usd` is None if no price is known."""

    key: str
    run_id: str | None
    agent: str | None
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    at: datetime


class Spend:
    """Charges in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, charge: Charge) -> bool:
        """Add a charge; False, and no change, if its key was added before: a repeated step is charged once."""
        values = {column.name: getattr(charge, column.name) for column in spend.columns}
        with self._database.write() as connection:
            if connection.execute(sa.select(spend.c.key).where(spend.c.key == charge.key)).first():
                return False
            connection.execute(sa.insert(spend).values(**values))
            return True

    def add_all(self, charges: Sequence[Charge]) -> None:
        """Add those of the charges that are new."""
        with self._database.write() as connection:
            keys = [charge.key for charge in charges]
            known = set(connection.execute(sa.select(spend.c.key).where(spend.c.key.in_(keys))).scalars())
            new = {charge.key: charge for charge in charges if charge.key not in known}
            if new:
                rows = [{c.name: getattr(charge, c.name) for c in spend.columns} for charge in new.values()]
                connection.execute(sa.insert(spend), rows)

    def add_events(self, events: Sequence[Event]) -> None:
        """Add the cost of the model calls among these events; calls under a budget were charged when they ended."""
        calls = [(event, event.payload) for event in events if isinstance(event.payload, ModelCallFinished)]
        # A call without a key has no identity by which a repeated event would be recognised.
        charges = [_charge(event, call, call.key) for event, call in calls if call.key]
        if charges:
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
        tokens = sa.func.sum(spend.c.prompt_tokens + spend.c.completion_tokens)
        dollars = sa.func.coalesce(sa.func.sum(spend.c.usd), 0.0)
        query = sa.select(column, tokens, dollars).where(condition).group_by(column)
        with self._database.read() as connection:
            return {name: (int(count), float(usd)) for name, count, usd in connection.execute(query)}


def _charge(event: Event, call: ModelCallFinished, key: str) -> Charge:
    provider, _, model = call.route.partition("/")
    tokens = call.prompt_tokens, call.completion_tokens
    return Charge(key, event.run_id, event.agent, provider, model, *tokens, call.usd, event.at)

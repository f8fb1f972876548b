"""The single calls behind a figure of usage, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from orchestration.storage.charge import CLIENT_PREFIX, REFUSED, client_of
from orchestration.storage.database import Database
from orchestration.storage.tables import spend
from orchestration.storage.usage_days import UsageSelection


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call. `client` is the token or the user that made it, `agent` the agent; `usd` is None if no price is
    known."""

    key: str
    at: datetime
    run_id: str | None
    client: str | None
    agent: str | None
    team: str | None
    provider: str
    model: str
    outcome: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    thinking_tokens: int
    usd: float | None


class RecordedCalls:
    """The calls in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self,
        selection: UsageSelection,
        *,
        refused: bool = False,
        before: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Sequence[RecordedCall]:
        """The newest calls of a selection, or those of them that were refused; `before` is the time and the key of the
        last one of the page before."""
        query = sa.select(spend).where(*_conditions(selection))
        if refused:
            query = query.where(spend.c.outcome.in_(sorted(REFUSED)))
        if before is not None:
            at, key = before
            query = query.where((spend.c.at < at) | ((spend.c.at == at) & (spend.c.key < key)))
        query = query.order_by(spend.c.at.desc(), spend.c.key.desc()).limit(limit)
        with self._database.read() as connection:
            return [_call(row) for row in connection.execute(query)]


def _conditions(selection: UsageSelection) -> list[sa.ColumnElement[bool]]:
    begins = datetime.combine(selection.first, time(), UTC)
    found = [spend.c.at >= begins, spend.c.at < datetime.combine(selection.last, time(), UTC) + timedelta(days=1)]
    if selection.client is not None:
        of_clients = spend.c.agent.like(f"{CLIENT_PREFIX}%")
        found.append(spend.c.agent == CLIENT_PREFIX + selection.client if selection.client else ~_known(of_clients))
    if selection.agent is not None:
        nobody = spend.c.agent.is_(None) | spend.c.agent.like(f"{CLIENT_PREFIX}%")
        found.append(spend.c.agent == selection.agent if selection.agent else nobody)
    if selection.team is not None:
        found.append(spend.c.team == selection.team if selection.team else spend.c.team.is_(None))
    if selection.provider is not None:
        found.append(spend.c.provider == selection.provider)
    if selection.model is not None:
        found.append(spend.c.model == selection.model)
    return found


def _known(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """A condition that is false where SQL would say that it is unknown."""
    return sa.func.coalesce(condition, sa.false())


def _call(row: sa.Row[Any]) -> RecordedCall:
    client = client_of(row.agent)
    return RecordedCall(
        row.key, row.at, row.run_id, client, None if client else row.agent, row.team, row.provider, row.model,
        row.outcome or "ok", row.prompt_tokens, row.completion_tokens, row.cached_tokens or 0, row.thinking_tokens or 0,
        row.usd,
    )  # fmt: skip

"""How agents have ended their work, with the version of the configuration that they worked with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.events.agents import AgentFinished
from orchestration.storage.database import Database
from orchestration.storage.tables import events, runs


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """The end of one agent's work in one run. `failure` is the kind of its failure, None where it delivered."""

    agent: str
    run_id: str
    workspace: str
    at: datetime
    config_version: int | None
    failure: str | None


class AgentOutcomes:
    """The outcomes of agents, as far back as the timeline is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, agents: Collection[str] = (), limit: int = 500) -> tuple[AgentOutcome, ...]:
        """The outcomes of these agents, or of all, newest first."""
        query = (
            sa.select(events, runs.c.workspace, runs.c.config_version)
            .join(runs, runs.c.id == events.c.run_id)
            .where(events.c.kind == AgentFinished.kind)
            .order_by(events.c.sequence.desc())
            .limit(limit)
        )
        if agents:
            query = query.where(events.c.agent.in_(agents))
        with self._database.read() as connection:
            return tuple(_outcome(row) for row in connection.execute(query))


def _outcome(row: sa.Row[Any]) -> AgentOutcome:
    failing = row.data.get("failing")
    # Events of earlier versions do not name the configuration; the run names the one that it was started with.
    version = row.data.get("config_version") or row.config_version
    return AgentOutcome(row.agent, row.run_id, row.workspace, row.at, version, failing["kind"] if failing else None)

"""The state of routes, as processes tell each other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import route_states


class RouteStates:
    """One JSON state for each route, with the time at which it was said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, provider: str, model: str, state: dict[str, Any], at: datetime) -> None:
        """Say what is known of a route."""
        key = (route_states.c.provider == provider) & (route_states.c.model == model)
        values = {"state": state, "updated_at": at}
        with self._database.write() as connection:
            if not connection.execute(sa.update(route_states).where(key).values(**values)).rowcount:
                connection.execute(sa.insert(route_states).values(provider=provider, model=model, **values))

    def load(self) -> dict[tuple[str, str], tuple[dict[str, Any], datetime]]:
        """What was last said of each route, and when."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(route_states))
            return {(row.provider, row.model): (row.state, row.updated_at) for row in rows}

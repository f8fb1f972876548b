"""The state of routes, as processes tell each other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import route_states

_SEEN = "seen"
_PROBER = "prober"
_SEEN_SECONDS = 15.0

_State = dict[str, Any]


class RouteStates:
    """One JSON state for each route, and beside it what each process has seen of the route lately."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, provider: str, model: str, state: _State, at: datetime) -> None:
        """Say what is known of a route; of two states the one whose `since` is the later stays."""

        def merged(before: _State) -> _State:
            if before.get("since", 0.0) > state.get("since", 0.0):
                return before
            return {**state, **{name: before[name] for name in (_SEEN, _PROBER) if name in before}}

        self._change(provider, model, merged, at)

    def report(self, provider: str, model: str, process: str, seen: _State, at: datetime) -> None:
        """Say what a process sees of a route now: calls under way, room left. Forgotten unless said again."""

        def merged(before: _State) -> _State:
            now = at.timestamp()
            others = {name: said for name, said in before.get(_SEEN, {}).items() if now - said["at"] < _SEEN_SECONDS}
            return {**before, _SEEN: {**others, process: {**seen, "at": now}}}

        self._change(provider, model, merged, at)

    def claim(self, provider: str, model: str, process: str, seconds: float, at: datetime) -> bool:
        """Whether this process is the one to probe a route; it then is for so many seconds."""
        now = at.timestamp()

        def merged(before: _State) -> _State:
            held = before.get(_PROBER, {"until": 0.0})
            free = held["until"] <= now or held["process"] == process
            return {**before, _PROBER: {"process": process, "until": now + seconds}} if free else before

        return bool(self._change(provider, model, merged, at)[_PROBER]["process"] == process)

    def load(self) -> dict[tuple[str, str], tuple[_State, datetime]]:
        """What was last said of each route, and when."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(route_states))
            return {(row.provider, row.model): (row.state, row.updated_at) for row in rows}

    def _change(self, provider: str, model: str, change: Callable[[_State], _State], at: datetime) -> _State:
        key = (route_states.c.provider == provider) & (route_states.c.model == model)
        with self._database.write() as connection:
            before = connection.execute(sa.select(route_states.c.state).where(key).with_for_update()).scalar()
            after = change(before or {})
            values = {"state": after, "updated_at": at}
            if after == before:
                return after
            if before is None:
                connection.execute(sa.insert(route_states).values(provider=provider, model=model, **values))
            else:
                connection.execute(sa.update(route_states).where(key).values(**values))
        return after


def seen_now(state: _State, now: datetime) -> tuple[_State, ...]:
    """What processes that are alive see of a route, the latest last."""
    said = [one for one in state.get(_SEEN, {}).values() if now.timestamp() - one["at"] < _SEEN_SECONDS]
    return tuple(sorted(said, key=lambda one: float(one["at"])))

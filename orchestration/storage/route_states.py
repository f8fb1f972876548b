"""The state of routes, shared between processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import route_states

_SEEN = "seen"
_PROBER = "prober"
_LEARNED = "learned"
# Processes report every few seconds; one that has not for this long is gone, or no longer uses the route.
_SEEN_SECONDS = 15.0

_State = dict[str, Any]


class RouteStates:
    """One JSON state for each route, and with it the latest report of each process about the route."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, provider: str, model: str, state: _State, at: datetime) -> None:
        """Store the state of a route, unless the stored one has a later `since`: another process has written since."""

        def merged(before: _State) -> _State:
            if before.get("since", 0.0) > state.get("since", 0.0):
                return before
            # The reports and the claim of a probe belong to other processes; the caller knows the state of the breaker
            # alone.
            return {**state, **{name: before[name] for name in (_SEEN, _PROBER, _LEARNED) if name in before}}

        self._change(provider, model, merged, at)

    def report(self, provider: str, model: str, process: str, seen: _State, at: datetime) -> None:
        """Store what a process sees of a route now: running calls, remaining capacity. It expires unless it is
        repeated."""

        def merged(before: _State) -> _State:
            now = at.timestamp()
            others = {name: said for name, said in before.get(_SEEN, {}).items() if now - said["at"] < _SEEN_SECONDS}
            return {**before, _SEEN: {**others, process: {**seen, "at": now}}}

        self._change(provider, model, merged, at)

    def learn(self, provider: str, model: str, change: Callable[[_State], _State], at: datetime) -> None:
        """Change what is known of a route's dialect: `change` receives what is stored and returns what is to be."""
        self._change(provider, model, lambda before: {**before, _LEARNED: change(before.get(_LEARNED, {}))}, at)

    def claim(self, provider: str, model: str, process: str, seconds: float, at: datetime) -> bool:
        """Whether this process may probe a route; if so, no other may for this many seconds."""
        now = at.timestamp()

        def merged(before: _State) -> _State:
            held = before.get(_PROBER, {"until": 0.0})
            free = held["until"] <= now or held["process"] == process
            return {**before, _PROBER: {"process": process, "until": now + seconds}} if free else before

        return bool(self._change(provider, model, merged, at)[_PROBER]["process"] == process)

    def load(self) -> dict[tuple[str, str], tuple[_State, datetime]]:
        """The last state of each route, and its time."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(route_states))
            return {(row.provider, row.model): (row.state, row.updated_at) for row in rows}

    def _change(self, provider: str, model: str, change: Callable[[_State], _State], at: datetime) -> _State:
        key = (route_states.c.provider == provider) & (route_states.c.model == model)
        with self._database.write() as connection:
            # Locked before it is read: two processes that merge into the same JSON would otherwise lose one of the
            # changes. On SQLite the transaction itself keeps other writers out.
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


def learned_of(state: _State) -> _State:
    """What is stored of a route's dialect."""
    learned = state.get(_LEARNED)
    return learned if isinstance(learned, dict) else {}


def seen_now(state: _State, now: datetime) -> tuple[_State, ...]:
    """The unexpired reports about a route, the latest last."""
    said = [one for one in state.get(_SEEN, {}).values() if now.timestamp() - one["at"] < _SEEN_SECONDS]
    return tuple(sorted(said, key=lambda one: float(one["at"])))

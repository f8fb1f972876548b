"""Exchange of route states between the processes that share a database. Without it, each process decides alone."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.ids import new_id
from orchestration.providers.breaker import Breaker, BreakerState
from orchestration.providers.breaker_updates import BreakerUpdates
from orchestration.providers.dialects.learned import LearnedDialect
from orchestration.providers.failures import FailureKind
from orchestration.providers.route import RouteRecord
from orchestration.providers.route_table import RouteTable, address_of
from orchestration.storage.route_states import RouteStates, learned_of

# Two exchanges fit into the second within which all processes must agree.
_EXCHANGE_SECONDS = 0.45
# Live figures (slots in use, headroom) are written when they change, at most once a second, and repeated while calls
# are in progress: a reader takes figures that are not repeated for those of a process that has died.
_REPORT_SECONDS = 1.0
_REPORT_AGAIN_SECONDS = 5.0
# A stopping process has a few seconds before its supervisor kills it.
_LAST_SECONDS = 2.0
# Longer than most probes take. After that another process may probe, in case the first has died.
_CLAIM_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 1.0


class RouteStateSync:
    """Publishes what changed here and adopts what changed elsewhere."""

    def __init__(
        self,
        routes: RouteTable,
        updates: BreakerUpdates,
        clock: Clock,
        states: RouteStates,
        redact: Callable[[str], str],
    ) -> None:
        self._routes = routes
        self._updates = updates
        self._clock = clock
        self._states = states
        self._redact = redact
        self._process = new_id("process", clock.now().timestamp())
        self._known: set[RouteRecord] = set()
        self._reported: dict[RouteRecord, tuple[float, dict[str, Any]]] = {}

    async def run(self) -> None:
        """Exchange until cancelled."""
        while True:
            await self._clock.sleep(_EXCHANGE_SECONDS)
            await self.exchange()

    async def exchange(self) -> None:
        """Adopt the states of others, then publish our own. In the other order a stale state of ours would win."""
        with contextlib.suppress(SQLAlchemyError):
            known = await anyio.to_thread.run_sync(self._states.load)
            for record in self._routes.all():
                if stored := known.get((record.route.provider, record.route.model)):
                    self._adopt(record, stored[0])
                self._known.add(record)
            for record in tuple(self._routes.all()):
                found = known.get((record.route.provider, record.route.model))
                await self._learn(record, learned_of(found[0]) if found else {})
                await self._tell(record)

    async def may_probe(self, record: RouteRecord) -> bool:
        """Whether this process may probe a route now; without the database every process may."""
        route, now = record.route, self._clock.now()
        claim = functools.partial(self._states.claim, route.provider, route.model, self._process, _CLAIM_SECONDS, now)
        with anyio.move_on_after(_LONGEST_WAIT_SECONDS), contextlib.suppress(SQLAlchemyError):
            # Abandoned, because the thread may hang for as long as the database does.
            return await anyio.to_thread.run_sync(claim, abandon_on_cancel=True)
        return True

    async def flush(self) -> None:
        """Publish what is left at the end of the process, within a time limit: a dead database must not delay the
        exit."""
        with anyio.move_on_after(_LAST_SECONDS, shield=True):
            await self.exchange()

    def _adopt(self, record: RouteRecord, state: dict[str, Any]) -> None:
        """Merge a state from the database. A process that has just started tries a rejected key once: it may have been
        replaced while no process ran."""
        if state.get("address", "") == address_of(record.provider.settings):
            with contextlib.suppress(ValueError):
                merged = record.breaker.merged(Breaker.from_json(state))
                if record not in self._known and merged.reason == FailureKind.AUTHENTICATION:
                    merged = merged.reset(self._clock.now().timestamp())
                if merged != record.breaker:
                    record.last_failure = record.last_failure or str(state.get("last_failure", ""))
                    self._updates.adopt(record, merged)

    async def _learn(self, record: RouteRecord, stored: dict[str, Any]) -> None:
        """Agree with the others on what the route understands."""
        route, address, now = record.route, address_of(record.provider.settings), self._clock.now()
        seconds = now.timestamp()
        agreed = record.with_listed(seconds).merged(read_learned(stored, address), seconds)
        if agreed.forgotten_at > record.learned.forgotten_at:
            record.forget()
        record.learned = agreed

        def change(before: dict[str, Any]) -> dict[str, Any]:
            return {"address": address, **agreed.merged(read_learned(before, address), seconds).as_json()}

        # An expired record is left as it is, and read as nothing: only what was learned is worth a write.
        if not agreed.is_empty and agreed != read_learned(stored, address):
            await anyio.to_thread.run_sync(self._states.learn, route.provider, route.model, change, now)

    async def _tell(self, record: RouteRecord) -> None:
        route, now = record.route, self._clock.now()
        # A probe in progress is not shared: if this process died, the others would wait for its result for ever.
        if record.unsynced and record.breaker.state is not BreakerState.HALF_OPEN:
            about = {"address": address_of(record.provider.settings), "last_failure": self._redact(record.last_failure)}
            state = {**record.breaker.as_json(), **about}
            # Cleared before the write: a change during the write sets it again, and clearing it later would lose that.
            record.unsynced = False
            try:
                await anyio.to_thread.run_sync(self._states.save, route.provider, route.model, state, now)
            except BaseException:
                record.unsynced = True
                raise
        seen = _seen(record)
        if self._is_worth_reporting(record, seen):
            self._reported[record] = (self._clock.monotonic(), seen)
            process = self._process
            await anyio.to_thread.run_sync(self._states.report, route.provider, route.model, process, seen, now)

    def _is_worth_reporting(self, record: RouteRecord, seen: dict[str, Any]) -> bool:
        said_at, said = self._reported.get(record, (float("-inf"), {}))
        passed = self._clock.monotonic() - said_at
        if seen == said:
            return bool(seen["in_use"]) and passed >= _REPORT_AGAIN_SECONDS
        return passed >= _REPORT_SECONDS and (bool(said) or record.last_seconds is not None or bool(seen["in_use"]))


def read_learned(stored: Mapping[str, Any], address: str) -> LearnedDialect:
    """What was stored of a route's dialect, if it was at the same server and account."""
    if stored.get("address") == address:
        with contextlib.suppress(ValueError, TypeError):
            return LearnedDialect.from_json(stored)
    return LearnedDialect()


def _seen(record: RouteRecord) -> dict[str, Any]:
    provider = record.provider
    return {
        "in_use": provider.in_use,
        "limit": provider.limit,
        "headroom": dict(provider.headroom),
        "last_seconds": record.last_seconds,
    }

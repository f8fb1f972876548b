"""Finding out whether a broken route works again, so that no user's request is the guinea pig; and telling others."""

from __future__ import annotations

from datetime import datetime

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.events import Bus
from orchestration.providers.attempt import Attempt
from orchestration.providers.breaker import Breaker, BreakerState
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.route import ProbeResult, RouteRecord
from orchestration.providers.routing import Routing
from orchestration.storage.routes import RouteStates

_LOOK_SECONDS = 0.5
_DEEP_SECONDS = 30.0
# A cheap probe proves that these are over; for the others a model has to write.
_CHEAP_IS_ENOUGH = frozenset({FailureKind.UNREACHABLE, FailureKind.AUTHENTICATION})
_A_FEW_TOKENS = {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 8}


class Prober:
    """Keeps the breakers of all routes true."""

    def __init__(self, routing: Routing, bus: Bus, clock: Clock, states: RouteStates | None) -> None:
        self._routing = routing
        self._bus = bus
        self._clock = clock
        self._states = states

    def note(self, record: RouteRecord, breaker: Breaker) -> None:
        """Take over a breaker's new state, and say so if it has changed."""
        before, record.breaker = record.breaker, breaker
        if before.state is breaker.state and before.reason == breaker.reason:
            return
        record.said_at = self._clock.now()
        kind = {BreakerState.OPEN: "opened", BreakerState.CLOSED: "closed", BreakerState.HALF_OPEN: "half_open"}
        self._bus.emit(
            f"route.{kind[breaker.state]}",
            route=str(record.route),
            provider=record.route.provider,
            reason=breaker.reason or before.reason,
            detail=record.last_failure,
        )

    async def run(self) -> None:
        """Probe what is due and exchange states with the other processes, until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                await self._exchange()
                now = self._now()
                for record in self._routing.all():
                    if record.breaker.probe_due(now):
                        self.note(record, record.breaker.half_opened(now))
                        group.start_soon(self._probe_route, record)
                await self._clock.sleep(_LOOK_SECONDS)

    async def probe(self, provider: str, *, deep: bool) -> ProbeResult:
        """Ask a provider now. A success closes its routes; a failure is only reported."""
        started = self._clock.monotonic()
        records = self._routing.of_provider(provider)
        failure: Failure | None = None
        try:
            await self._ask(provider, records[0] if records else None, deep=deep)
        except CallFailed as error:
            failure = error.failure
        else:
            for record in records:
                self.note(record, record.breaker.succeeded(self._now()))
        seconds = self._clock.monotonic() - started
        outcome = failure.kind.value if failure else "ok"
        return ProbeResult(provider, outcome, failure.message if failure else "", seconds)

    async def _probe_route(self, record: RouteRecord) -> None:
        deep = record.provider.settings.deep_probe or record.breaker.reason not in _CHEAP_IS_ENOUGH
        try:
            await self._ask(record.route.provider, record, deep=deep)
        except CallFailed as error:
            record.last_failure = error.failure.message
            self.note(record, record.breaker.failed(error.failure, self._now(), record.rules))
        else:
            self.note(record, record.breaker.succeeded(self._now()))

    async def _ask(self, provider: str, record: RouteRecord | None, *, deep: bool) -> None:
        """Raises CallFailed when the provider does not answer as it should."""
        await self._routing.provider(provider).endpoint.probe(self._clock.now())
        if not deep:
            return
        if record is None:
            raise CallFailed(Failure(FailureKind.MODEL_MISSING, "no model is configured; set `defaultModel`"))
        try:
            await Attempt(record, self._clock, seconds=_DEEP_SECONDS).complete(_A_FEW_TOKENS)
        except CallFailed as error:
            if error.failure.kind is not FailureKind.CONTENT_FILTER:
                raise

    async def _exchange(self) -> None:
        """Tell what changed here, take over what changed elsewhere. Without the database each process is alone."""
        if self._states is None:
            return
        try:
            for record in self._routing.all():
                if record.said_at is not None and record.breaker.state is not BreakerState.HALF_OPEN:
                    said, record.said_at = record.said_at, None
                    await anyio.to_thread.run_sync(
                        self._states.save, record.route.provider, record.route.model, record.breaker.as_json(), said
                    )
            known = await anyio.to_thread.run_sync(self._states.load)
        except SQLAlchemyError:
            return
        for record in self._routing.all():
            self._take_over(record, known.get((record.route.provider, record.route.model)))

    def _take_over(self, record: RouteRecord, said: tuple[dict[str, object], datetime] | None) -> None:
        if said is None or record.said_at is not None:
            return
        theirs = Breaker.from_json(said[0])
        if theirs.since > record.breaker.since and theirs.state is not record.breaker.state:
            record.breaker = theirs

    def _now(self) -> float:
        return self._clock.now().timestamp()

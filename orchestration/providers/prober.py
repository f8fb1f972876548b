"""Probes that find out whether an open route works again, so that no user's request has to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio.abc import TaskGroup

from orchestration.clock import Clock
from orchestration.providers.attempt import RouteAttempt
from orchestration.providers.breaker import PROVIDER_WIDE, Breaker, BreakerState
from orchestration.providers.breaker_updates import BreakerUpdates
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.route import ProbeResult, RouteRecord
from orchestration.providers.route_table import RouteTable
from orchestration.providers.wire import ModelApi, Route

MayProbe = Callable[[RouteRecord], Awaitable[bool]]

# Well below the shortest `probeAfter`, so that a probe is never noticeably late.
_POLL_SECONDS = 0.25
# While no route is broken or suspected.
_RESTING_SECONDS = 1.0
# A cheap probe proves that these are over. For the others a model has to generate tokens: an Ollama server whose runner
# is wedged still answers its list of models.
_CHEAP_IS_ENOUGH = frozenset({FailureKind.UNREACHABLE, FailureKind.AUTHENTICATION})
# A refused or missing list of models says nothing about chat: some keys may not list models, some servers cannot.
_CHEAP_IS_NO_PROOF = frozenset({FailureKind.AUTHENTICATION, FailureKind.MODEL_MISSING, FailureKind.BAD_REQUEST})
# A provider that refuses a request is alive.
_ALIVE = frozenset({FailureKind.CONTENT_FILTER, FailureKind.BAD_REQUEST})
# After so many seconds without an answer to a probe, another is sent.
_REPEAT_SECONDS = 4.0
# So long after a call would have used an open route, the route counts as wanted.
_WANTED_SECONDS = 30.0
_A_VECTOR = {"input": "ping"}
_A_FEW_TOKENS = {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 8}


class Prober:
    """Probes providers: in the background when a route is due, and on request."""

    def __init__(self, routes: RouteTable, updates: BreakerUpdates, clock: Clock, may_probe: MayProbe) -> None:
        self._routes = routes
        self._updates = updates
        self._clock = clock
        self._may_probe = may_probe
        self._shadowed: set[RouteRecord] = set()

    async def run(self) -> None:
        """Probe due routes until cancelled, each by one process at a time."""
        async with anyio.create_task_group() as group:
            while True:
                records = tuple(self._routes.all())
                for record in records:
                    if self._is_due(record) and await self._may_probe(record):
                        self._begin(record, group)
                rests = all(record.breaker.is_at_rest for record in records)
                await self._clock.sleep(_RESTING_SECONDS if rests else _POLL_SECONDS)

    async def probe(self, provider: str, *, deep: bool) -> ProbeResult:
        """Probe a provider now. A success closes the routes that it proves to work; a failure is only reported, because
        a probe by hand must not open a route that serves calls."""
        started = self._clock.monotonic()
        if not self._routes.provider(provider).endpoint.base_url and self._routes.provider(provider).rehearsal:
            return ProbeResult(provider, "ok", "it is embedded and starts with the first run that uses it", 0.0)
        record = self._main_record(provider)
        try:
            await self._routes.provider(provider).endpoint.probe(self._clock.wall())
            if deep:
                await self._probe_model(record)
        except CallFailed as error:
            outcome, detail = error.failure.kind.value, error.failure.message
        else:
            outcome, detail = "ok", ""
            self._apply_answer(provider, record if deep else None)
        return ProbeResult(provider, outcome, detail, self._clock.monotonic() - started)

    def _is_due(self, record: RouteRecord) -> bool:
        wanted = self._clock.monotonic() - record.wanted_at < _WANTED_SECONDS
        return record not in self._shadowed and record.breaker.probe_due(self._now(), record.rules if wanted else None)

    def _begin(self, record: RouteRecord, group: TaskGroup) -> None:
        # Checked again: the state may have changed while the claim on the probe was awaited.
        if not self._is_due(record):
            return
        if record.breaker.state is BreakerState.CLOSED:
            self._shadowed.add(record)
            self._updates.apply(record, record.breaker.shadow_probed())
            group.start_soon(self._probe_in_shadow, record)
        else:
            self._updates.apply(record, record.breaker.half_opened(self._now()))
            group.start_soon(self._probe_route, record, record.breaker)

    def _apply_answer(self, provider: str, proven: RouteRecord | None) -> None:
        for one in self._routes.of_provider(provider):
            sure = one is proven or one.breaker.reason in _CHEAP_IS_ENOUGH
            self._updates.apply(one, one.breaker.recovered(self._now()) if sure else one.breaker.reset(self._now()))

    def _main_record(self, provider: str) -> RouteRecord | None:
        model = self._routes.provider(provider).settings.default_model
        if model:
            return self._routes.record(Route(provider, model))
        return next(iter(self._routes.of_provider(provider)), None)

    async def _probe_route(self, record: RouteRecord, half_open: Breaker) -> None:
        failure = await self._repeated(partial(self._probe_enough, record, half_open.reason))
        if record.breaker is not half_open:
            return  # The route was reset, or a call found out more, while the probe was in progress.
        if failure is None:
            self._updates.apply(record, half_open.recovered(self._now()))
            return
        record.last_failure = failure.message
        self._updates.apply(record, half_open.probe_failed(failure, self._now(), record.rules))

    async def _probe_in_shadow(self, record: RouteRecord) -> None:
        """Probe a route that calls go on using."""
        try:
            failure = await self._repeated(partial(self._probe_model, record))
        finally:
            self._shadowed.discard(record)
        if failure is None:
            self._updates.apply(record, record.breaker.shadow_succeeded(self._now()))
            return
        wide = failure.kind in PROVIDER_WIDE
        for one in self._routes.of_provider(record.route.provider) if wide else [record]:
            one.last_failure = failure.message
            self._updates.apply(one, one.breaker.shadow_failed(failure, self._now(), one.rules))

    async def _repeated(self, probe: Callable[[], Awaitable[None]]) -> Failure | None:
        """The failure of a probe. While it is not answered, another is sent now and then, and the first answer counts:
        a server that hangs may never answer the one that it had when it began to."""
        found: list[Failure | None] = []

        async def ask() -> None:
            try:
                await probe()
            except CallFailed as error:
                found.append(error.failure)
            else:
                found.append(None)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await self._clock.sleep(_REPEAT_SECONDS)
            while True:
                async with anyio.create_task_group() as latest:
                    latest.start_soon(ask)
                    await self._clock.sleep(_REPEAT_SECONDS)
                    latest.cancel_scope.cancel()
        return found[0]

    async def _probe_enough(self, record: RouteRecord, reason: str) -> None:
        """Probe as deeply as it takes to prove that the failure is over. Raises CallFailed."""
        deep = record.provider.settings.deep_probe or reason not in _CHEAP_IS_ENOUGH
        try:
            await record.provider.endpoint.probe(self._clock.wall())
        except CallFailed as error:
            if error.failure.kind not in _CHEAP_IS_NO_PROOF:
                raise
            deep = True
        if deep:
            await self._probe_model(record)

    async def _probe_model(self, record: RouteRecord | None) -> None:
        """Have a model generate a few tokens. The first may take as long as in a call: the model may have to be
        loaded."""
        if record is None:
            raise CallFailed(Failure(FailureKind.MODEL_MISSING, "no model is configured; set `defaultModel`"))
        seconds = record.provider.settings.timeouts.first_token
        try:
            asked = _A_VECTOR if record.api is ModelApi.EMBEDDINGS else _A_FEW_TOKENS
            await RouteAttempt(record, self._clock, seconds=seconds, api=record.api).complete(asked)
        except CallFailed as error:
            if error.failure.kind not in _ALIVE:
                raise

    def _now(self) -> float:
        return self._clock.now().timestamp()

"""The gateway: one request in, an answer from whichever route works.

For each route, in order of preference: is its breaker closed, is it not held back, is a place free? Then it is tried; a
failure is classed, recorded, and the next route is tried at once. Nothing sleeps while another route could be used.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import anyio

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.events import Bus
from orchestration.providers import backoff
from orchestration.providers.assembly import estimate_tokens
from orchestration.providers.attempt import Attempt, HandOn
from orchestration.providers.breaker import BreakerState
from orchestration.providers.budget import Budgets
from orchestration.providers.endpoint import CallFailed, Credentials
from orchestration.providers.failures import (
    Failure,
    FailureKind,
    NoRouteError,
    RequestRefusedError,
)
from orchestration.providers.probing import Prober
from orchestration.providers.route import ProbeResult, RouteRecord, RouteStatus
from orchestration.providers.routing import Routing
from orchestration.providers.wire import Call, ChatBody, Completion, Route, Try
from orchestration.storage.routes import RouteStates
from orchestration.storage.spend import Charge

# A wait that a provider asks for, or a backoff, is sat out up to this long when nothing else can be used.
_PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_TRIES_PER_ROUTE = 3
# Worth one more try on the spot; both together count as one failure.
_AGAIN_AT_ONCE = frozenset({FailureKind.UNREACHABLE, FailureKind.MALFORMED})
# Worth another try after a wait, if no other route can be used.
_AGAIN_LATER = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})
# The request itself is at fault: no other route would do better.
_FINAL = frozenset({FailureKind.BAD_REQUEST, FailureKind.CONTENT_FILTER})
# Says something about all of a provider's routes.
_PROVIDER_WIDE = frozenset({FailureKind.UNREACHABLE, FailureKind.AUTHENTICATION, FailureKind.RETIRED})


@dataclass(slots=True)
class _Progress:
    """What has happened in one call so far."""

    tries: list[Try] = field(default_factory=list)
    failures: dict[Route, list[FailureKind]] = field(default_factory=dict)

    def may_use(self, route: Route) -> bool:
        """Whether a route has not failed in this call yet."""
        return route not in self.failures

    def may_wait_for(self, route: Route) -> bool:
        """Whether another try on a route is worth a wait."""
        failed = self.failures.get(route, [])
        return len(failed) < _TRIES_PER_ROUTE and all(kind in _AGAIN_LATER for kind in failed)


class Gateway:
    """Everything that is asked of a model goes through here."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        credentials: Credentials,
        bus: Bus,
        clock: Clock,
        budgets: Budgets,
        states: RouteStates | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._configuration = configuration
        self._bus = bus
        self._clock = clock
        self._budgets = budgets
        self._chance = chance
        self._routing = Routing(configuration, credentials)
        self._prober = Prober(self._routing, bus, clock, states)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """Probe broken routes, and exchange their states with other processes, for as long as the block lasts."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._prober.run)
            try:
                yield self
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._routing.aclose()

    async def complete(self, body: ChatBody, call: Call, hand_on: HandOn | None = None) -> Completion:
        """A whole answer; `hand_on` is given each chunk of it as it comes.

        Fails over from route to route, once chunks were handed on no more: then the caller has to ask again. Raises
        NoRouteError when no provider can answer now, RequestRefusedError when the request is at fault, and
        BudgetExceededError when the call would cost too much.
        """
        progress = _Progress()
        started = self._clock.monotonic()
        outcome = "cancelled"
        completion: Completion | None = None
        held = await self._budgets.reserve(call, _expected_tokens(body))
        try:
            completion = await self._ask(body, call, progress, hand_on)
            completion = replace(completion, tries=tuple(progress.tries), usd=self._price(completion))
            outcome = "ok"
        except NoRouteError:
            outcome = "no_route"
            raise
        except RequestRefusedError as error:
            outcome = error.kind.value
            raise
        finally:
            if held:
                with anyio.CancelScope(shield=True):
                    await self._budgets.settle(call, held, self._charge(call, completion))
            self._say_finished(call, completion, progress, outcome, self._clock.monotonic() - started)
        return completion

    async def probe(self, provider: str, *, deep: bool = False) -> ProbeResult:
        """Ask a provider now whether it works; `deep` has a model write. Raises NotFoundError for an unknown one."""
        return await self._prober.probe(provider, deep=deep)

    def statuses(self) -> tuple[RouteStatus, ...]:
        """Every route with its state, in the order of the configuration."""
        return tuple(_status(record) for record in self._routing.all())

    async def wait_for_route(self, call: Call) -> None:
        """Return when some route for this call may work again."""
        while not any(record.breaker.admits(self._now()) for record in self._routing.candidates(call)):
            await self._clock.sleep(_LOOK_SECONDS)

    def set_limit(self, provider: str, concurrency: int) -> None:
        """Change how many calls a provider is given at once; 0 pauses it. Waiters go on at once when it grows."""
        self._routing.provider(provider).slots.total_tokens = concurrency

    def reset(self, provider: str) -> None:
        """Have a provider's broken routes probed now."""
        for record in self._routing.of_provider(provider):
            self._prober.note(record, record.breaker.reset(self._now()))

    async def reconfigure(self) -> None:
        """Take over the configuration and the credentials as they are now."""
        await self._routing.refresh()
        for record in self._routing.all():
            if record.breaker.reason == FailureKind.AUTHENTICATION:
                self._prober.note(record, record.breaker.reset(self._now()))

    async def _ask(self, body: ChatBody, call: Call, progress: _Progress, hand_on: HandOn | None) -> Completion:
        """1. Choose a route. 2. Try it. 3. When it fails, record that and choose again, until none is left."""
        while True:
            record, place = await self._choose(call, progress)
            try:
                completion = await self._try(record, body, call, progress, hand_on)
            finally:
                record.provider.slots.release_on_behalf_of(place)
            if completion is not None:
                return completion

    async def _choose(self, call: Call, progress: _Progress) -> tuple[RouteRecord, object]:
        """The best route that can be used, and the place that was taken there. Raises NoRouteError."""
        while True:
            now = self._now()
            candidates = self._routing.candidates(call)
            usable = [record for record in candidates if progress.may_use(record.route) and self._admits(record, now)]
            if usable:
                if (chosen := self._take_free(usable)) is not None:
                    return chosen
                record = usable[0]
                place = object()
                await record.provider.slots.acquire_on_behalf_of(place)
                if self._admits(record, self._now()):
                    return record, place
                record.provider.slots.release_on_behalf_of(place)
                continue
            wait = self._shortest_wait(candidates, progress, now)
            if wait is None:
                raise self._no_route(call, candidates, progress)
            await self._clock.sleep(wait[0])
            progress.failures.pop(wait[1].route, None)

    def _admits(self, record: RouteRecord, now: float) -> bool:
        return record.breaker.admits(now) and record.provider.wait(now) <= 0

    def _take_free(self, usable: list[RouteRecord]) -> tuple[RouteRecord, object] | None:
        """A place at the first route that has one; with `whenBusy: wait`, at the first route or nowhere."""
        for record in usable if self._configuration().runtime.when_busy == "fallback" else usable[:1]:
            place = object()
            try:
                record.provider.slots.acquire_on_behalf_of_nowait(place)
            except anyio.WouldBlock:
                continue
            return record, place
        return None

    def _shortest_wait(
        self, candidates: list[RouteRecord], progress: _Progress, now: float
    ) -> tuple[float, RouteRecord] | None:
        """The soonest moment within our patience at which some route is worth a try, and which."""
        waits = []
        for record in candidates:
            if record.breaker.state is BreakerState.CLOSED and progress.may_wait_for(record.route):
                failed = progress.failures.get(record.route, [])
                pause = backoff.delay(len(failed), self._chance()) if failed else 0.0
                wait = max(record.breaker.held_until - now, record.provider.wait(now), pause)
                waits.append((wait, record))
        waits = [(wait, record) for wait, record in waits if wait <= _PATIENCE_SECONDS]
        return min(waits, key=lambda one: one[0], default=None)

    async def _try(
        self, record: RouteRecord, body: ChatBody, call: Call, progress: _Progress, hand_on: HandOn | None
    ) -> Completion | None:
        """Try a route, twice where that may help; None when it failed and another may be tried."""
        for last in (False, True):
            attempt = Attempt(record, self._clock, seconds=call.seconds, progress=call.progress, hand_on=hand_on)
            record.provider.count(self._now(), requests=1)
            try:
                completion = await attempt.complete(body)
            except CallFailed as error:
                failure = error.failure
                broken_off = hand_on is not None and attempt.first_token_seconds is not None
                progress.tries.append(_try_of(record, attempt, failure))
                if failure.kind in _FINAL:
                    raise _refusal(record, failure, progress) from error
                if failure.kind in _AGAIN_AT_ONCE and not last and not broken_off:
                    continue
                self._note_failure(record, failure, progress)
                if broken_off:
                    raise self._no_route(call, [record], progress) from error
                return None
            self._note_success(record, attempt, completion, progress)
            return completion
        return None

    def _note_success(self, record: RouteRecord, attempt: Attempt, completion: Completion, progress: _Progress) -> None:
        record.last_seconds = attempt.seconds
        record.provider.count(self._now(), tokens=completion.usage.total)
        progress.tries.append(Try(record.route, "ok", attempt.seconds))
        self._prober.note(record, record.breaker.succeeded(self._now()))

    def _note_failure(self, record: RouteRecord, failure: Failure, progress: _Progress) -> None:
        progress.failures.setdefault(record.route, []).append(failure.kind)
        wide = failure.kind in _PROVIDER_WIDE
        for one in self._routing.of_provider(record.route.provider) if wide else [record]:
            one.last_failure = failure.message
            self._prober.note(one, one.breaker.failed(failure, self._now(), one.rules))

    def _no_route(self, call: Call, candidates: list[RouteRecord], progress: _Progress) -> NoRouteError:
        moments = [moment for record in candidates if (moment := record.breaker.usable_at()) is not None]
        retry_at = min(moments, default=None)
        if not candidates:
            name = call.provider or self._configuration().runtime.default_provider
            return NoRouteError(f"no provider can be used: '{name}' is disabled or has no `defaultModel`")
        states = "; ".join(f"{record.route}: {_trouble(record, progress)}" for record in candidates)
        hints = tuple(
            dict.fromkeys(f"{record.route.provider}: {record.provider.endpoint.hint}" for record in candidates)
        )
        retry_in = None if retry_at is None else self._clock.monotonic() + max(0.0, retry_at - self._now())
        return NoRouteError(
            f"no provider can answer now ({states})", tuple(progress.tries), retry_at=retry_in, hints=hints
        )

    def _price(self, completion: Completion) -> float | None:
        model = self._configuration().model(completion.route.provider, completion.route.model)
        if model is None or model.input_usd_per_million is None or model.output_usd_per_million is None:
            return None
        usage = completion.usage
        dollars = usage.prompt_tokens * model.input_usd_per_million
        dollars += usage.completion_tokens * model.output_usd_per_million
        return dollars / 1_000_000

    def _charge(self, call: Call, completion: Completion | None) -> Charge | None:
        if completion is None or call.key is None:
            return None
        usage, route = completion.usage, completion.route
        tokens = (usage.prompt_tokens, usage.completion_tokens)
        return Charge(
            call.key, call.run_id, call.agent, route.provider, route.model, *tokens, completion.usd, self._clock.now()
        )

    def _say_finished(
        self, call: Call, completion: Completion | None, progress: _Progress, outcome: str, seconds: float
    ) -> None:
        tries = [
            {
                "route": str(one.route),
                "outcome": one.outcome,
                "seconds": one.seconds,
                "status": one.status,
                "detail": one.detail,
            }
            for one in progress.tries
        ]
        data: Mapping[str, Any] = {}
        if completion is not None:
            data = {
                "route": str(completion.route),
                "first_token_seconds": completion.first_token_seconds,
                "tokens": completion.usage.total,
                "prompt_tokens": completion.usage.prompt_tokens,
                "completion_tokens": completion.usage.completion_tokens,
                "usd": completion.usd,
                "rehearsal": completion.rehearsal,
            }
        self._bus.emit(
            "model_call.finished" if completion is not None else "model_call.failed",
            run_id=call.run_id,
            agent=call.agent,
            key=call.key,
            outcome=outcome,
            seconds=seconds,
            tries=tries,
            **data,
        )

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _expected_tokens(body: ChatBody) -> int:
    return estimate_tokens(body.get("messages")) + int(body.get("max_tokens") or 0)


def _try_of(record: RouteRecord, attempt: Attempt, failure: Failure) -> Try:
    return Try(record.route, failure.kind.value, attempt.seconds, failure.message, failure.status)


def _refusal(record: RouteRecord, failure: Failure, progress: _Progress) -> RequestRefusedError:
    what = "content filter" if failure.kind is FailureKind.CONTENT_FILTER else "request"
    message = f"{record.route} refused the {what}: {failure.message}"
    return RequestRefusedError(message, failure.kind, record.route, tuple(progress.tries))


def _trouble(record: RouteRecord, progress: _Progress) -> str:
    """Why a route cannot be used, in a few words."""
    latest = [one for one in progress.tries if one.route == record.route]
    if latest:
        return f"{latest[-1].outcome.replace('_', ' ')}, {latest[-1].detail}"
    return f"{record.breaker.reason.replace('_', ' ') or 'held back'}, {record.last_failure}".rstrip(", ")


def _status(record: RouteRecord) -> RouteStatus:
    breaker, slots = record.breaker, record.provider.slots
    usable_at = breaker.usable_at()
    return RouteStatus(
        provider=record.route.provider,
        model=record.route.model,
        state=breaker.state.value,
        reason=breaker.reason,
        since=datetime.fromtimestamp(breaker.since, UTC) if breaker.since else None,
        usable_at=datetime.fromtimestamp(usable_at, UTC) if usable_at else None,
        in_use=int(slots.borrowed_tokens),
        limit=int(slots.total_tokens),
        headroom=dict(record.provider.headroom),
        last_failure=record.last_failure,
        last_seconds=record.last_seconds,
        rehearsal=record.provider.rehearsal,
    )

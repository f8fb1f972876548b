"""The gateway: one request in, an answer from the first route that works.

For each route, in order of preference: is its breaker closed, has its Retry-After passed, is a slot free? If so, it is
tried. A failure is classified and recorded, and the cheapest safe answer to it is chosen: once more on the same route,
after a short wait or on a fresh connection, or the next route.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

import anyio

from orchestration import backoff
from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.schema import Configuration
from orchestration.domain.work_phase import WorkPhase
from orchestration.errors import NotFoundError
from orchestration.events import Event, EventBus
from orchestration.events.configuration import CredentialsChanged
from orchestration.http_connections import PooledConnections
from orchestration.providers import liveness
from orchestration.providers.attempt import ChunkCallback, RouteAttempt
from orchestration.providers.attempt_history import AttemptHistory
from orchestration.providers.breaker import PROVIDER_WIDE, BreakerState
from orchestration.providers.breaker_updates import BreakerUpdates
from orchestration.providers.budget import Budgets, Reservation
from orchestration.providers.concurrency import ConcurrencyLimiter
from orchestration.providers.continuation import continued
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import (
    BudgetExceededError,
    ConversationTooLongError,
    Failure,
    FailureKind,
    NoRouteError,
    RequestRefusedError,
    StreamInterruptedError,
)
from orchestration.providers.hedge import Claim, HedgeBudget, Race, late_after
from orchestration.providers.prober import Prober
from orchestration.providers.request_adapter import RequestAdapter
from orchestration.providers.route import ProbeResult, RouteRecord, RouteStatus, status_of
from orchestration.providers.route_table import RouteTable
from orchestration.providers.selection import RouteSelector, hints_of
from orchestration.providers.shared_slots import LockFile
from orchestration.providers.state_sync import RouteStateSync
from orchestration.providers.usage import UsageAccounting
from orchestration.providers.wire import CallProgress, ChatBody, Completion, GatewayCall, ModelApi, RouteTry
from orchestration.storage.route_states import RouteStates
from orchestration.telemetry.propagation import within

# How often a run without any route checks for one. It has waited for seconds already, so this need not be instant.
_POLL_SECONDS = 0.25
# A pooled connection may have been closed by the other side, and a proxy may have cut one answer short: both look like
# a provider that is down. One more try tells them apart, and both tries together count as one failure.
_AGAIN_AT_ONCE = frozenset({FailureKind.UNREACHABLE, FailureKind.MALFORMED})
# The request itself is at fault, so no other route would do better unless the failure says so (a content filter may,
# if the configuration allows it).
_REFUSALS = frozenset({FailureKind.BAD_REQUEST, FailureKind.CONTENT_FILTER})


class Gateway:
    """Every model call goes through here."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        credentials: CredentialSource,
        bus: EventBus,
        clock: Clock,
        budgets: Budgets,
        states: RouteStates | None = None,
        random: Callable[[], float] = random.random,
        redact: Callable[[str], str] = str,
        slots: LockFile | None = None,
    ) -> None:
        """`redact` removes secrets from error messages of providers before they are shared with other processes.
        Processes with the same file of `slots` share those of providers."""
        self._configuration = configuration
        self._bus = bus
        self._clock = clock
        self._budgets = budgets
        self._random = random
        self._routes = RouteTable(configuration, credentials, slots)
        self._limiter = ConcurrencyLimiter(clock, self._routes)
        self._hedges = HedgeBudget()
        self._updates = BreakerUpdates(bus, self._limiter.wake)
        self._adapter = RequestAdapter(configuration, clock)
        self._selector = RouteSelector(self._routes, configuration, clock, self._adapter.window)
        self._accounting = UsageAccounting(self._routes, configuration, bus, clock)
        self._sync = None if states is None else RouteStateSync(self._routes, self._updates, clock, states, redact)
        # Without a database nobody else could probe for us.
        may_probe = self._sync.may_probe if self._sync else _always_may_probe
        self._prober = Prober(self._routes, self._updates, clock, may_probe)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """Probe open routes and exchange their states with other processes for as long as the block lasts."""
        unsubscribe = self._bus.subscribe(self._on_event)
        try:
            if self._sync is not None:
                # Before the first call, or a new process would begin with a provider that the others know to be down.
                await self._sync.exchange()
            async with anyio.create_task_group() as group:
                group.start_soon(self._prober.run)
                if self._sync is not None:
                    group.start_soon(self._sync.run)
                try:
                    yield self
                finally:
                    group.cancel_scope.cancel()
        finally:
            unsubscribe()
            with anyio.CancelScope(shield=True):
                if self._sync is not None:
                    await self._sync.flush()
                await self._routes.aclose()

    async def complete(self, body: ChatBody, call: GatewayCall, on_chunk: ChunkCallback | None = None) -> Completion:
        """Return a whole answer; `on_chunk` receives each chunk as it arrives, from the first token on.

        Fails over from route to route until the first token has been delivered. After that a failure raises
        StreamInterruptedError, and the caller has to repeat the request. Raises NoRouteError when no provider can
        answer now, RequestRefusedError when the request is at fault, and BudgetExceededError when the call would exceed
        a budget. A caller that condenses its conversations gets ConversationTooLongError.
        """
        history = AttemptHistory()
        started = self._clock.monotonic()
        outcome = "error"
        completion: Completion | None = None
        reservation = None
        try:
            call, reservation = await self._reserve(body, call)
            with within(call.traceparent):
                completion = await self._ask(body, call, history, on_chunk)
            usd = self._accounting.price(completion.route, completion.usage)
            completion = replace(completion, tries=tuple(history.tries), usd=usd)
            outcome = "ok"
        except (NoRouteError, RequestRefusedError, ConversationTooLongError, BudgetExceededError) as error:
            outcome = error.outcome
            raise
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        finally:
            # The caller goes on with a shorter conversation, and says so: no error for the log, and none to explain.
            charge = None
            if outcome != ConversationTooLongError.outcome or history.spent:
                charge = self._accounting.charge(call, completion, history, outcome)
                self._accounting.publish(call, completion, history, charge, self._clock.monotonic() - started)
            if reservation is not None:
                # Shielded: a cancelled call would otherwise leave its reservation behind, which shrinks the budget.
                with anyio.CancelScope(shield=True):
                    await self._budgets.settle(reservation, charge, self._clock.now())
        return completion

    async def probe(self, provider: str, *, deep: bool = False) -> ProbeResult:
        """Probe a provider now; with `deep`, a model has to generate tokens. Raises NotFoundError for an unknown
        one."""
        return await self._prober.probe(provider, deep=deep)

    async def probe_broken(self, providers: Iterable[str]) -> None:
        """Probe those of the providers that have an open route, whichever process is due to probe them.

        For the start of a run: the user may have just repaired the provider, and should not wait for the next probe.
        """
        async with anyio.create_task_group() as group:
            for name in providers:
                if any(record.breaker.state is not BreakerState.CLOSED for record in self._routes.of_provider(name)):
                    group.start_soon(partial(self._prober.probe, name, deep=False))

    def statuses(self) -> tuple[RouteStatus, ...]:
        """Every route with its state, in the order of the configuration."""
        return tuple(status_of(record) for record in self._routes.all())

    def can_continue(self, call: GatewayCall) -> bool:
        """Whether some route could go on with the answer of another that broke off."""
        return self._selector.can_continue(call)

    def connections(self) -> Mapping[str, PooledConnections]:
        """How many connections this process has to each provider that it has used."""
        return self._routes.connections()

    def window(self, call: GatewayCall) -> int | None:
        """The context of the model that a call would ask first, in tokens, as far as it is known."""
        record = self._first_route(call)
        return None if record is None else self._adapter.window(record)

    async def ask_for_window(self, call: GatewayCall) -> int | None:
        """The same, after the provider was asked if that may say it; once in the life of this process, however often
        this is called."""
        record = self._first_route(call)
        return None if record is None else await self._adapter.ask_for_window(record)

    def _first_route(self, call: GatewayCall) -> RouteRecord | None:
        try:
            return next(iter(self._routes.candidates(call)), None)
        except NotFoundError:
            return None

    async def wait_for_route(self, call: GatewayCall) -> None:
        """Wait until some route may accept this call."""
        while not self.has_route(call):
            await self._clock.sleep(_POLL_SECONDS)

    def has_route(self, call: GatewayCall) -> bool:
        """Whether some route may accept this call now."""
        return any(self._selector.admits(record) for record in self._routes.candidates(call))

    def set_limit(self, provider: str, concurrency: int) -> None:
        """Change a provider's concurrency; 0 pauses it. Waiting calls start at once when it grows.

        Calls in progress are not affected. The next edit of the provider's `concurrency` overrides this.
        """
        self._routes.provider(provider).limit = concurrency
        self._limiter.wake()

    def reset(self, provider: str) -> None:
        """Make a provider's open routes due for a probe now."""
        for record in self._routes.of_provider(provider):
            self._updates.apply(record, record.breaker.reset(self._now()))

    async def reconfigure(self) -> None:
        """Apply the current configuration and credentials."""
        for provider in await self._routes.refresh(self._clock.monotonic()):
            self.reset(provider)
        self._retry_credentials()
        self._limiter.wake()

    def _on_event(self, event: Event) -> None:
        if isinstance(event.payload, CredentialsChanged):
            self._retry_credentials()

    def _retry_credentials(self) -> None:
        for record in tuple(self._routes.all()):
            if record.breaker.reason == FailureKind.AUTHENTICATION:
                self._updates.apply(record, record.breaker.reset(self._now()))

    async def _reserve(self, body: ChatBody, call: GatewayCall) -> tuple[GatewayCall, Reservation | None]:
        """Set aside what a call will cost, and close the routes whose budgets it does not fit to it."""
        reservation = await self._budgets.reserve(
            call,
            lambda: self._accounting.expected(body, call),
            lambda: (record.route for record in self._routes.candidates(call)),
            self._clock.now(),
        )
        if reservation is None:
            return call, None
        if call.on_budget is not None and reservation.standings:
            call.on_budget(reservation.standings)
        return (replace(call, closed=reservation.closed) if reservation.closed else call), reservation

    async def _ask(
        self, body: ChatBody, call: GatewayCall, history: AttemptHistory, on_chunk: ChunkCallback | None
    ) -> Completion:
        """1. Choose a route. 2. Try it. 3. If it fails, record the failure and choose again, until no route is left."""
        queue = call.provider or self._configuration().runtime.default_provider
        if not call.adaptable and call.api is ModelApi.CHAT:
            history.too_small = self._adapter.too_small(body, self._routes.candidates(call))
        while True:
            choose = partial(self._selector.choose, call, history)
            try:
                record = await self._limiter.acquire(choose, queue, partial(_report_place, call, queue))
            except BaseException:
                self._selector.abandon_trial(history)
                raise
            completion = None
            try:
                completion = await self._race(record, body, call, history, on_chunk)
            finally:
                # In this order, since a call that waits for the end of the trial decides when the slot is released.
                self._selector.end_trial(record, history, answered=completion is not None)
                self._limiter.release(record)
            if completion is not None:
                return completion

    async def _race(
        self,
        record: RouteRecord,
        body: ChatBody,
        call: GatewayCall,
        history: AttemptHistory,
        on_chunk: ChunkCallback | None,
    ) -> Completion | None:
        """Try a route, and a second one if the first token is late and a hedge is allowed."""
        self._hedges.count_call()
        late = late_after(record.first_tokens) if history.alternatives else None
        if late is None or history.trial is not None or not self._selector.may_be_hedged(call, history, record):
            return await self._try(record, body, call, history, on_chunk)
        taken: list[RouteRecord] = []

        def second() -> RouteRecord | None:
            found = self._selector.second(call, history, record) if self._hedges.take() else None
            taken.extend([found] if found else [])
            return found

        async def attempt(one: RouteRecord, claim: Claim) -> Completion | None:
            return await self._try(one, body, call, history, on_chunk, claim)

        return await Race(attempt).run(record, late, second, lambda: self._limiter.release(taken[0]))

    async def _try(
        self,
        record: RouteRecord,
        body: ChatBody,
        call: GatewayCall,
        history: AttemptHistory,
        on_chunk: ChunkCallback | None,
        claim: Claim | None = None,
    ) -> Completion | None:
        """Try a route, twice where that may help; None if it failed and another route may be tried."""
        repeated, record.api = False, call.api
        if call.api is ModelApi.CHAT:
            body = self._adapter.with_parameters(record.route, body)
        if call.shown:
            body = continued(body, call.shown, record.provider.settings.effective_continuation)
        while True:
            understood = self._adapter.understood(record, body, call)
            attempt = self._attempt(record, call, history, on_chunk, claim)
            try:
                completion = await liveness.complete(record, attempt, understood, self._clock)
            except CallFailed as error:
                failure = error.failure
                if attempt.first_token_seconds is not None:
                    history.spent.append((record.route, attempt.spent(understood)))
                history.tries.append(_failed(record, attempt, failure))
                retries = not repeated and self._retries_at_once(record, failure)
                if not attempt.has_delivered and (
                    retries or self._adapter.adapts(record, body, understood, call, failure)
                ):
                    repeated = repeated or retries
                    record.provider.count(self._clock.monotonic(), requests=1)  # `try_acquire` counted the first only
                    continue
                if failure.kind in _REFUSALS:
                    # Not every model of a provider goes on with what another has begun.
                    elsewhere = failure.elsewhere or bool(call.shown)
                    self._refuse(record, replace(failure, elsewhere=elsewhere), history, final=attempt.has_delivered)
                    return None
                self._record_failure(record, failure, history)
                if attempt.has_delivered:
                    raise self._broken_off(record, failure, history) from error
                return None
            except BaseException:
                # The caller is gone, and the vendor counts what it has read and written so far.
                history.spent.append((record.route, attempt.spent(understood)))
                raise
            self._adapter.calibrate(record, understood, completion.usage)
            self._record_success(record, attempt, completion, history)
            if call.adaptable:
                # Now, since a server that has answered is there, and has loaded the model.
                await self._adapter.ask_for_window(record, loaded=True)
            return completion

    def _attempt(
        self,
        record: RouteRecord,
        call: GatewayCall,
        history: AttemptHistory,
        on_chunk: ChunkCallback | None,
        claim: Claim | None,
    ) -> RouteAttempt:
        return RouteAttempt(
            record,
            self._clock,
            seconds=call.seconds,
            progress=call.progress,
            on_chunk=on_chunk,
            on_start=call.on_start and partial(call.on_start, record.route, len(history.tries) + 1),
            claim=claim,
            api=call.api,
            native=call.native,
            begun=bool(call.shown),
        )

    def _retries_at_once(self, record: RouteRecord, failure: Failure) -> bool:
        """Whether to try once more on the spot. When many calls fail together, the first confirmed failure opens the
        breaker or makes a probe due, and the others do not each send a second request to a provider that is down."""
        if failure.kind not in _AGAIN_AT_ONCE or failure.confirmed:
            return False
        suspected = failure.kind is FailureKind.MALFORMED and record.breaker.failures
        return record.breaker.admits(self._now()) and not suspected

    def _record_success(
        self, record: RouteRecord, attempt: RouteAttempt, completion: Completion, history: AttemptHistory
    ) -> None:
        record.last_seconds = attempt.seconds
        if attempt.first_token_seconds is not None:
            record.first_tokens.append(attempt.first_token_seconds)
        record.provider.count(self._clock.monotonic(), tokens=completion.usage.total)
        history.tries.append(RouteTry(record.route, "ok", attempt.seconds))
        # A trial began when the route was open, so unlike other calls it proves that the failure is over.
        on_trial = history.trial == record.route
        breaker = record.breaker
        self._updates.apply(record, breaker.recovered(self._now()) if on_trial else breaker.succeeded())

    def _record_failure(self, record: RouteRecord, failure: Failure, history: AttemptHistory) -> None:
        pause = 0.0
        if failure.kind is FailureKind.OVERLOADED:
            pause = backoff.delay(history.failures(record.route) + 1, self._random())
        history.add_failure(record.route, failure, self._clock.monotonic(), pause)
        for one in self._concerned(record, failure):
            one.last_failure = failure.message
            self._updates.apply(one, one.breaker.failed(failure, self._now(), one.rules))

    def _concerned(self, record: RouteRecord, failure: Failure) -> list[RouteRecord]:
        """The routes about which a failure on one of them says something."""
        wide = failure.kind in PROVIDER_WIDE and failure.is_proof
        return self._routes.of_provider(record.route.provider) if wide else [record]

    def _refuse(self, record: RouteRecord, failure: Failure, history: AttemptHistory, *, final: bool) -> None:
        """Raise the refusal, unless another route may answer the request."""
        filtered = failure.kind is FailureKind.CONTENT_FILTER
        message = f"{record.route} refused the {'content filter' if filtered else 'request'}: {failure.message}"
        refusal = RequestRefusedError(message, failure, record.route, tuple(history.tries))
        by_policy = filtered and self._configuration().runtime.fallback_on_content_filter
        if final or not (by_policy or failure.elsewhere):
            raise refusal
        history.refusal = refusal
        if failure.overflow is not None:
            history.too_small = max(history.too_small, self._adapter.learn_window(record, failure.overflow))
        history.add_failure(record.route, failure, self._clock.monotonic(), 0.0)

    def _broken_off(self, record: RouteRecord, failure: Failure, history: AttemptHistory) -> StreamInterruptedError:
        message = f"the answer of {record.route} broke off after it had begun ({failure.message}); ask again"
        return StreamInterruptedError(message, tuple(history.tries), hints=hints_of([record]))

    def _now(self) -> float:
        return self._clock.now().timestamp()


async def _always_may_probe(_: RouteRecord) -> bool:
    return True


def _report_place(call: GatewayCall, provider: str, ahead: int) -> None:
    if call.progress is not None:
        call.progress(CallProgress(WorkPhase.QUEUED, provider, ahead=ahead))


def _failed(record: RouteRecord, attempt: RouteAttempt, failure: Failure) -> RouteTry:
    return RouteTry(record.route, failure.kind.value, attempt.seconds, failure.message, failure.status)

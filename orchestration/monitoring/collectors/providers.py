"""Providers: their routes' breakers, and a light probe of each, so that a fault shows while nothing else runs.

Probes go past the gateway's breakers: a list of models that is answered says nothing about a route that was taken out
of use because its quota is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import anyio
import anyio.to_thread

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.schema import Configuration
from orchestration.errors import NotFoundError
from orchestration.events import Event
from orchestration.events.providers import CallAttempt, ModelCallFailed, ModelCallFinished, RouteClosed, RouteOpened
from orchestration.monitoring.health.provider_health import (
    OK,
    ProviderHealth,
    ProviderHealthBoard,
    chain,
    in_use,
    usable,
)
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import FailureKind
from orchestration.providers.route_table import RouteTable
from orchestration.providers.server_process import works_now
from orchestration.storage.route_states import RouteStates

# A provider that is down is probed more often, so that its return is noticed soon.
_AGAIN_SECONDS = 5.0
# A probe of a provider on this machine costs nothing: no rate limit, no network.
_LOCAL_SECONDS = 1.0
_REPORT_EVERY_SECONDS = 5.0
# One slow answer of a busy machine is no outage. The second probe follows at once, and is given twice as long.
_SILENCES = 2
# These outcomes depend on the request, not on the provider.
_NOT_ITS_FAULT = frozenset({OK, FailureKind.BAD_REQUEST.value, FailureKind.CONTENT_FILTER.value})


class ProviderWatch:
    """The health of the providers of the configuration."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        credentials: CredentialSource,
        clock: Clock,
        states: RouteStates | None = None,
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._states = states
        self._credentials = credentials
        self._routing = RouteTable(configuration, credentials)
        self._settings = configuration().runtime.providers
        self._asked: dict[str, None] = {}
        self._known: frozenset[str] = frozenset()
        self._due: dict[str, float] = {}
        self._silent_at: dict[str, datetime] = {}
        self._silences: dict[str, int] = {}
        self._unhurried: set[str] = set()
        self._reported: dict[str, ProviderHealth] = {}
        self._reported_usable: int | None = None
        self._reported_at = float("-inf")
        self.board = ProviderHealthBoard()

    def on_event(self, event: Event) -> tuple[Signal, ...]:
        """The signals that follow from an event at once. Safe from any thread."""
        match event.payload:
            case ModelCallFinished() | ModelCallFailed() as call:
                self._note_attempts(call.tries, event.at)
                return ()
            case RouteOpened() as route:
                provider, model = route.names
                self.board.opened(provider, model, event.at, route.reason, route.detail)
            case RouteClosed() as route:
                provider, model = route.names
                self.board.closed(provider, model, event.at)
            case _:
                return ()
        self._asked[provider] = None
        return tuple(self._changed(drill=event.data.get("drill") is True))

    def _note_attempts(self, attempts: Iterable[CallAttempt], ended: datetime) -> None:
        for attempt in attempts:
            provider, _ = attempt.names
            self._asked[provider] = None
            # Traffic notices a fault before the next probe is due, so a failed call has the provider probed at once.
            if attempt.outcome not in _NOT_ITS_FAULT:
                self._due[provider] = float("-inf")
            # It answered a call while it left a probe unanswered: it is busy, and its probes get the longest
            # limit from now on.
            elif self._was_at_work(provider, ended, attempt.seconds):
                self._unhurried.add(provider)

    async def collect_routes(self) -> tuple[Signal, ...]:
        """Read the route states of other processes. Reports changes, and now and then everything."""
        if self._states is not None:
            states = await anyio.to_thread.run_sync(self._states.load, abandon_on_cancel=True)
            for (provider, model), (state, at) in states.items():
                if state.get("state") == "open":
                    self.board.opened(provider, model, at, str(state.get("reason", "")))
                elif state.get("state") == "closed":
                    self.board.closed(provider, model, at)
        return tuple(self._all_when_due())

    async def probe(self) -> tuple[Signal, ...]:
        """Probe the providers that are due, concurrently."""
        await self._follow_settings()
        left = tuple(self._left())
        now = self._clock.monotonic()
        due = [name for name in self._used() if self._due.get(name, float("-inf")) <= now]
        async with anyio.create_task_group() as group:
            for name in due:
                group.start_soon(self._probe, name)
        return (*left, *self._changed())

    def standings(self) -> dict[str, ProviderHealth]:
        """The health of every provider in use."""
        return {name: self.board.standing(name, models) for name, models in self._used().items()}

    def route_states(self) -> list[tuple[str, str]]:
        """The provider and the state of each route, for the metrics."""
        routes = []
        for name, models in self._used().items():
            broken = self.board.broken_routes(name)
            routes += [(name, "open" if model in broken else "closed") for model in {*models, *broken}]
        return routes

    async def aclose(self) -> None:
        """Close every connection."""
        await self._routing.aclose()

    async def _follow_settings(self) -> None:
        """Reconnect if a provider's settings have changed; no probe is under way then."""
        settings = self._configuration().runtime.providers
        if settings != self._settings:
            before, self._routing = self._routing, RouteTable(self._configuration, self._credentials)
            self._settings = settings
            await before.aclose()

    def _was_at_work(self, name: str, ended: datetime, seconds: float) -> bool:
        """Whether a provider was working on a call when it did not answer a probe.

        A local server often handles one request at a time; its silence then means that it is busy, not down.
        """
        silent_at = self._silent_at.get(name)
        return silent_at is not None and ended - timedelta(seconds=seconds) < silent_at < ended

    def _interval(self, name: str) -> float:
        interval = self._configuration().monitoring.probe_seconds
        settings = self._configuration().provider(name)
        return min(interval, _LOCAL_SECONDS) if settings is not None and settings.is_local else interval

    async def _probe(self, name: str) -> None:
        interval = self._interval(name)
        self._due[name] = self._clock.monotonic() + interval
        broken = self.board.broken_routes(name)
        if broken and broken.issuperset(self._used().get(name, ())):
            return  # the gateway probes it through its breaker, which decides
        try:
            endpoint = self._routing.provider(name).endpoint
            if name in self._unhurried:
                endpoint.probe_timeout.use_longest()
            await endpoint.probe(self._clock.wall())
        except CallFailed as error:
            if error.failure.kind is FailureKind.TIMEOUT and await self._computes(name):
                # A model that uses up the processors, or a server with one request at a time: busy, not down.
                self._silences[name] = 0
                self._unhurried.add(name)
                return
            if self._is_sure(name, error.failure.kind):
                self.board.probed(name, error.failure.kind.value, error.failure.message)
                self._due[name] = self._clock.monotonic() + min(interval, _AGAIN_SECONDS)
            else:
                self._due[name] = float("-inf")
        except NotFoundError:
            return  # removed from the configuration a moment ago
        else:
            self._silences[name] = 0
            self.board.probed(name, OK)

    def _is_sure(self, name: str, kind: FailureKind) -> bool:
        """Note a failed probe; whether it shows that the provider is down."""
        if kind is not FailureKind.TIMEOUT:
            self._silences[name] = 0
            return True
        self._silent_at[name] = self._clock.now()
        self._silences[name] = self._silences.get(name, 0) + 1
        return self._silences[name] >= _SILENCES

    async def _computes(self, name: str) -> bool:
        settings = self._configuration().provider(name)
        if settings is None or not settings.is_local:
            return False
        return bool(await works_now(settings.effective_base_url or "", self._clock))

    def _left(self) -> Iterable[Signal]:
        """What a person has taken out of the configuration: nothing waits for its answer any more."""
        before, self._known = self._known, frozenset(self._used())
        for name in sorted(before - self._known):
            yield Signal("provider_left", self._clock.now(), 1.0, {"provider": name})

    def _used(self) -> dict[str, tuple[str, ...]]:
        return dict(in_use(self._configuration(), tuple(self._asked)))

    def _all_when_due(self) -> Iterable[Signal]:
        if self._clock.monotonic() - self._reported_at >= _REPORT_EVERY_SECONDS:
            self._reported_at = self._clock.monotonic()
            self._reported, self._reported_usable = {}, None
        return self._changed()

    def _changed(self, *, drill: bool = False) -> Iterable[Signal]:
        now, standings = self._clock.now(), self.standings()
        for name, standing in standings.items():
            if standing.up is not None and self._reported.get(name) != standing:
                self._reported[name] = standing
                evidence = {"reason": standing.reason, "detail": standing.detail}
                yield Signal("provider_up", now, float(standing.up), {"provider": name}, evidence, drill)
        count = usable(standings, chain(self._configuration()))
        if count is not None and count != self._reported_usable:
            self._reported_usable = count
            down = {name: standing.reason for name, standing in standings.items() if standing.up is False}
            yield Signal("providers_usable", now, float(count), {}, {"down": down}, drill)

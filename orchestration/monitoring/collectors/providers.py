"""Watches the providers: their routes' breakers, and a light probe of each, so that breakage shows while all is idle.

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
from orchestration.storage.route_states import RouteStates

# A provider that is down is looked at more often, so that its return is noticed soon.
_AGAIN_SECONDS = 5.0
# To ask a provider on this machine costs nothing and disturbs nobody.
_LOCAL_SECONDS = 1.0
_TELL_EVERY_SECONDS = 5.0
# These say something about the request, not about the provider.
_NOT_ITS_FAULT = frozenset({OK, FailureKind.BAD_REQUEST.value, FailureKind.CONTENT_FILTER.value})


class ProviderWatch:
    """The providers of the configuration, as they stand."""

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
        self._due: dict[str, float] = {}
        self._silent_at: dict[str, datetime] = {}
        self._unhurried: set[str] = set()
        self._told: dict[str, ProviderHealth] = {}
        self._told_usable: int | None = None
        self._told_at = float("-inf")
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
            if attempt.outcome not in _NOT_ITS_FAULT:
                self._due[provider] = float("-inf")
            elif self._was_at_work(provider, ended, attempt.seconds):
                self._unhurried.add(provider)

    async def look_at_routes(self) -> tuple[Signal, ...]:
        """What other processes have said of their routes. Tells what changed, and now and then everything."""
        if self._states is not None:
            said = await anyio.to_thread.run_sync(self._states.load, abandon_on_cancel=True)
            for (provider, model), (state, at) in said.items():
                if state.get("state") == "open":
                    self.board.opened(provider, model, at, str(state.get("reason", "")))
                elif state.get("state") == "closed":
                    self.board.closed(provider, model, at)
        return tuple(self._tell())

    async def probe(self) -> tuple[Signal, ...]:
        """Probe the providers that it is time for, side by side."""
        await self._follow_settings()
        now = self._clock.monotonic()
        due = [name for name in self._used() if self._due.get(name, float("-inf")) <= now]
        async with anyio.create_task_group() as group:
            for name in due:
                group.start_soon(self._probe, name)
        return tuple(self._changed())

    def standings(self) -> dict[str, ProviderHealth]:
        """How every provider in use stands."""
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
        """Connect anew where the settings of a provider have changed; no probe is under way then."""
        settings = self._configuration().runtime.providers
        if settings != self._settings:
            before, self._routing = self._routing, RouteTable(self._configuration, self._credentials)
            self._settings = settings
            await before.aclose()

    def _was_at_work(self, name: str, ended: datetime, seconds: float) -> bool:
        """Whether a provider was carrying out a call when it did not answer a probe: it can only do one thing at a time
        then, and its silence means less than that of others."""
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
            return  # the gateway looks after it, and its word counts
        try:
            endpoint = self._routing.provider(name).endpoint
            if name in self._unhurried:
                endpoint.probe_timeout.use_longest()
            await endpoint.probe(self._clock.now())
        except CallFailed as error:
            self.board.probed(name, error.failure.kind.value, error.failure.message)
            if error.failure.kind is FailureKind.TIMEOUT:
                self._silent_at[name] = self._clock.now()
            self._due[name] = self._clock.monotonic() + min(interval, _AGAIN_SECONDS)
        except NotFoundError:
            return  # taken out of the configuration a moment ago
        else:
            self.board.probed(name, OK)

    def _used(self) -> dict[str, tuple[str, ...]]:
        return dict(in_use(self._configuration(), tuple(self._asked)))

    def _tell(self) -> Iterable[Signal]:
        if self._clock.monotonic() - self._told_at >= _TELL_EVERY_SECONDS:
            self._told_at = self._clock.monotonic()
            self._told, self._told_usable = {}, None
        return self._changed()

    def _changed(self, *, drill: bool = False) -> Iterable[Signal]:
        now, standings = self._clock.now(), self.standings()
        for name, standing in standings.items():
            if standing.up is not None and self._told.get(name) != standing:
                self._told[name] = standing
                evidence = {"reason": standing.reason, "detail": standing.detail}
                yield Signal("provider_up", now, float(standing.up), {"provider": name}, evidence, drill)
        count = usable(standings, chain(self._configuration()))
        if count is not None and count != self._told_usable:
            self._told_usable = count
            down = {name: standing.reason for name, standing in standings.items() if standing.up is False}
            yield Signal("providers_usable", now, float(count), {}, {"down": down}, drill)

"""The routes, and which of them a call may use, in order of preference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestration.config.credentials import CredentialSource
from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.errors import NotFoundError
from orchestration.http_connections import PooledConnections
from orchestration.providers.dialects.learned import LearnedDialect
from orchestration.providers.endpoint_factory import make_endpoint
from orchestration.providers.route import ProviderState, RouteRecord
from orchestration.providers.shared_slots import LockFile, SharedSlots
from orchestration.providers.wire import GatewayCall, ModelApi, Route


class RouteTable:
    """The providers of the configuration, and the routes that calls have used or may use."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        credentials: CredentialSource,
        slots: LockFile | None = None,
    ) -> None:
        """Processes with the same file of `slots` share those of providers."""
        self._configuration = configuration
        self._credentials = credentials
        self._slots = slots
        self._providers: dict[str, ProviderState] = {}
        self._records: dict[Route, RouteRecord] = {}

    def provider(self, name: str) -> ProviderState:
        """The provider of that name. Raises NotFoundError."""
        if name not in self._providers:
            settings = self._configuration().provider(name)
            if settings is None:
                known = ", ".join(self._configuration().runtime.providers) or "none"
                raise NotFoundError(
                    f"There is no provider '{name}'. Configured providers: {known}. "
                    "Correct the name, or add the provider under `runtime`"
                )
            endpoint = make_endpoint(name, settings, self._credentials)
            self._providers[name] = ProviderState(endpoint, SharedSlots(self._slots, f"provider {name}"))
        return self._providers[name]

    def candidates(self, call: GatewayCall) -> list[RouteRecord]:
        """The routes that a call may use, the preferred first and the avoided last. Raises NotFoundError for an unknown
        provider.

        The rehearsal provider is used only if it is requested or is the default. It never replaces another provider,
        nor another it: scripted text must not end up in real work, and a rehearsal must not cost money.
        """
        runtime = self._configuration().runtime
        preferred = call.provider or runtime.default_provider
        alone = call.only or self.provider(preferred).rehearsal
        fallbacks = () if alone else (runtime.default_provider, *runtime.fallback_providers)
        names = dict.fromkeys((preferred, *fallbacks))
        found = [record for name in names if (record := self._candidate(name, preferred, call)) is not None]
        if call.api is ModelApi.EMBEDDINGS:
            # Vectors of different models have nothing to do with each other.
            found = [record for record in found if record.route.model == found[0].route.model]
        if call.closed:
            found = [record for record in found if record.route not in call.closed]
        return sorted(found, key=lambda record: str(record.route) in call.avoided)

    def with_larger_context(self, call: GatewayCall, tokens: int) -> list[RouteRecord]:
        """Further models of the providers that a call may use, whose context is configured as larger than that; the
        smallest of each first."""
        found = []
        for name in dict.fromkeys(record.route.provider for record in self.candidates(call)):
            models = self._configuration().models.get(name, ())
            sized = [(model.context_tokens or 0, model.name) for model in models]
            larger = [Route(name, model) for size, model in sorted(sized) if size > tokens]
            found += [self.record(route) for route in larger if route not in call.closed]
        return found

    def connections(self) -> dict[str, PooledConnections]:
        """How many connections this process has to each provider that it has used."""
        return {name: provider.endpoint.connections for name, provider in self._providers.items()}

    @property
    def waits(self) -> bool:
        """Whether calls wait for slots that other processes have."""
        return any(provider.slots.waits for provider in self._providers.values())

    def stop_waiting(self) -> None:
        """No call waits for a slot."""
        for provider in self._providers.values():
            provider.slots.stop_waiting()

    def of_provider(self, name: str) -> list[RouteRecord]:
        """The known routes of one provider: that of its default model, and those that calls have used."""
        return self._of_provider(name, self._configuration().provider(name))

    def all(self) -> Iterator[RouteRecord]:
        """Every route of every enabled provider, in the order of the configuration."""
        for name, settings in self._configuration().runtime.providers.items():
            if settings.enabled:
                yield from self._of_provider(name, settings)

    def record(self, route: Route) -> RouteRecord:
        """The record of a route."""
        if route not in self._records:
            self._records[route] = RouteRecord(route, self.provider(route.provider))
        return self._records[route]

    async def refresh(self, now: float) -> tuple[str, ...]:
        """Apply changed settings; returns the names of the providers that are now another server or account.

        A provider keeps its slots, its waiting calls and its route records. Calls in progress end on the connection on
        which they began. `now` is monotonic.
        """
        moved = []
        # A copy, because calls may add providers while connections are closed below.
        for name, provider in list(self._providers.items()):
            settings = self._configuration().provider(name)
            if settings is None:
                self._forget(name)
                await provider.endpoint.retire()
            elif settings != provider.settings:
                # Another server or account: what is known of the old one says nothing about the new one.
                if address_of(settings) != address_of(provider.settings):
                    moved.append(name)
                    for record in self.of_provider(name):
                        record.learned = LearnedDialect()
                        record.forget()
                if settings.default_model != provider.settings.default_model and provider.settings.default_model:
                    self._records.pop(Route(name, provider.settings.default_model), None)
                await provider.renew(make_endpoint(name, settings, self._credentials), now).retire()
        return tuple(moved)

    def _forget(self, name: str) -> None:
        """Forget a provider. May be called twice, because edits can follow each other while connections are closing."""
        if (provider := self._providers.pop(name, None)) is not None:
            provider.slots.stop_waiting()
        for route in [route for route in self._records if route.provider == name]:
            del self._records[route]

    async def aclose(self) -> None:
        """Close every connection."""
        for provider in self._providers.values():
            await provider.endpoint.aclose()

    def _candidate(self, name: str, preferred: str, call: GatewayCall) -> RouteRecord | None:
        settings = self._configuration().provider(name)
        if settings is None or not settings.enabled:
            return None
        if settings.type is ProviderKind.REHEARSAL and name != preferred:
            return None
        model = call.model if call.model and self._knows(name, preferred, call.model) else settings.default_model
        return self.record(Route(name, model)) if model else None

    def _knows(self, name: str, preferred: str, model: str) -> bool:
        """Whether a requested model is meant for a provider: for the preferred one, and for others that list it."""
        return name == preferred or self._configuration().model(name, model) is not None

    def _of_provider(self, name: str, settings: ProviderSettings | None) -> list[RouteRecord]:
        if settings is not None and settings.default_model:
            self.record(Route(name, settings.default_model))
        return [record for record in self._records.values() if record.route.provider == name]


def address_of(settings: ProviderSettings) -> str:
    """The server and account that these settings address, without any secret."""
    parts = settings.type, settings.effective_base_url, settings.api_version, settings.auth
    return " ".join(str(part) for part in (*parts, settings.effective_api_key_env) if part)

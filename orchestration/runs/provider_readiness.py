"""Whether the providers that runs ask for can be used, and what this process has to start for them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.runtime import RuntimeSettings
from orchestration.config.store import ConfigurationStore
from orchestration.domain.provider_kind import ProviderKind
from orchestration.errors import NotFoundError, UsageError
from orchestration.providers.gateway import Gateway
from orchestration.runs.rehearsal import EmbeddedRehearsal, is_embedded

StartSoon = Callable[[Callable[..., Coroutine[Any, Any, Any]], Any], None]
"""Runs a function with one argument in the background."""


class ProviderReadiness:
    """Checks and prepares the providers of the configuration for runs of this process."""

    def __init__(
        self,
        store: ConfigurationStore,
        gateway: Gateway,
        rehearsal: EmbeddedRehearsal,
        start_soon: StartSoon,
        env_file: Path,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._rehearsal = rehearsal
        self._start_soon = start_soon
        self._env_file = env_file

    @property
    def _runtime(self) -> RuntimeSettings:
        return self._store.current.runtime

    async def prepare(self, name: str | None, *, here: bool = True) -> None:
        """Check that a run can use a provider, or with None the default one; if the run is worked on `here`, start
        what the provider needs. Raises NotFoundError for an unknown provider, UsageError for one that is disabled or
        has no credentials."""
        chosen = name or self._runtime.default_provider
        settings = self._usable(chosen)
        if here and is_embedded(settings):
            await self._start_rehearsal()
        if here:
            # The user may just have repaired a provider whose breaker is still open; without a probe the run would
            # wait for the next background one. The probe itself must not delay the run.
            names = {chosen, self._runtime.default_provider, *self._runtime.fallback_providers}
            self._start_soon(self._gateway.probe_broken, names & set(self._runtime.providers))
        key = settings.effective_api_key_env
        if key is not None and self._store.credentials.get(key) is None:
            raise UsageError(f"Provider '{chosen}' has no credentials. Put {key}=… into {self._env_file}.")

    async def first_answering(self) -> str | None:
        """The first real provider of the fallback chain that answers a probe; None if none does."""
        # One after the other: the first in the chain counts, not the fastest.
        for name in (self._runtime.default_provider, *self._runtime.fallback_providers):
            settings = self._runtime.providers.get(name)
            if settings is None or not settings.enabled or settings.type is ProviderKind.REHEARSAL:
                continue
            if (await self._gateway.probe(name)).ok:
                return name
        return None

    def _usable(self, name: str) -> ProviderSettings:
        settings = self._runtime.providers.get(name)
        if settings is None:
            known = ", ".join(self._runtime.providers) or "none"
            raise NotFoundError(f"There is no provider '{name}'. Configured providers: {known}.")
        if not settings.enabled:
            raise UsageError(f"Provider '{name}' is disabled. Set its `enabled` to true, or choose another.")
        return settings

    async def _start_rehearsal(self) -> None:
        if await self._rehearsal.start():
            await self._gateway.reconfigure()

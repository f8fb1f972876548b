"""The rehearsal provider that a process runs for itself: scripted answers at an address of its own."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.rehearsal import RehearsalServer


class EmbeddedRehearsal:
    """A rehearsal server that is started when something first needs it, and stopped with the `async with` block."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._url: str | None = None
        self._applied: tuple[Configuration, Configuration] | None = None

    async def start(self) -> bool:
        """Start the server; returns False if it is running already."""
        if self._url is not None:
            return False
        server = await self._stack.enter_async_context(RehearsalServer())
        self._url = f"{server.url}/v1"
        return True

    def apply_to(self, configuration: Configuration) -> Configuration:
        """The configuration with the server's address filled in, once it has one."""
        if self._url is None:
            return configuration
        # Asked for many times a second, and made of values that do not change.
        if self._applied is None or self._applied[0] is not configuration:
            self._applied = configuration, self._with_address(configuration)
        return self._applied[1]

    def _with_address(self, configuration: Configuration) -> Configuration:
        providers = {
            name: settings.model_copy(update={"base_url": self._url}) if is_embedded(settings) else settings
            for name, settings in configuration.runtime.providers.items()
        }
        runtime = configuration.runtime.model_copy(update={"providers": providers})
        return configuration.model_copy(update={"runtime": runtime})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()


def is_embedded(settings: ProviderSettings) -> bool:
    """Whether a provider is the rehearsal provider without an address, which the process has to run itself."""
    return settings.type is ProviderKind.REHEARSAL and settings.base_url is None

"""The configuration and the credentials as the gateway sees them."""

from __future__ import annotations

from orchestration.config.schema import Configuration, ProviderKind
from orchestration.config.store import ConfigurationStore


class LiveCredentials:
    """The credentials as they are at each moment."""

    def __init__(self, store: ConfigurationStore) -> None:
        self._store = store

    def get(self, name: str) -> str | None:
        """The value of a variable, None where it is not set."""
        return self._store.credentials.get(name)


def with_rehearsal(configuration: Configuration, url: str | None) -> Configuration:
    """The configuration with the address of the embedded rehearsal provider filled in, once it has one."""
    if url is None:
        return configuration
    providers = {
        name: settings.model_copy(update={"base_url": url})
        if settings.type is ProviderKind.REHEARSAL and settings.base_url is None
        else settings
        for name, settings in configuration.runtime.providers.items()
    }
    runtime = configuration.runtime.model_copy(update={"providers": providers})
    return configuration.model_copy(update={"runtime": runtime})

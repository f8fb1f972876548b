"""From a provider's settings to the endpoint that calls it."""

from __future__ import annotations

from pkgutil import resolve_name

from orchestration.config.credentials import CredentialSource
from orchestration.config.providers.kinds import find_provider_kind
from orchestration.config.providers.settings import ProviderSettings
from orchestration.providers.endpoint import CallFailed, Endpoint
from orchestration.providers.failures import Failure, FailureKind


class UnusableEndpoint(Endpoint):
    """Stands for a provider whose kind cannot be loaded: every call fails with the reason, so the next route is used.

    Raising when the endpoint is made would take down the calls to every other provider with it.
    """

    def __init__(self, name: str, settings: ProviderSettings, credentials: CredentialSource, reason: str) -> None:
        super().__init__(name, settings, credentials)
        self._reason = reason

    async def headers(self) -> dict[str, str]:
        raise CallFailed(Failure(FailureKind.UNREACHABLE, self._reason))


def make_endpoint(name: str, settings: ProviderSettings, credentials: CredentialSource) -> Endpoint:
    """The endpoint of a provider. One whose kind is not installed or cannot be loaded fails its calls, not this one."""
    kind = find_provider_kind(settings.type)
    # The configuration check reports this, too, but the package may have been removed since.
    if kind is None:
        reason = f'no installed package has the provider type "{settings.type}"'
        return UnusableEndpoint(name, settings, credentials, reason)
    factory = kind.factory_for(settings.api)
    if factory is None:
        reason = f'the provider type "{kind.name}" has no API "{settings.api}"'
        return UnusableEndpoint(name, settings, credentials, reason)
    try:
        endpoint = resolve_name(factory)(name, settings, credentials)
    except Exception as error:  # noqa: BLE001 (a user's module and class may raise anything)
        problem = f"{type(error).__name__}: {error}"
        reason = f'the provider type "{kind.name}" cannot be loaded from {factory} ({problem})'
        return UnusableEndpoint(name, settings, credentials, reason)
    if not isinstance(endpoint, Endpoint):
        reason = f'the provider type "{kind.name}" cannot be used: {factory} is no subclass of Endpoint'
        return UnusableEndpoint(name, settings, credentials, reason)
    return endpoint

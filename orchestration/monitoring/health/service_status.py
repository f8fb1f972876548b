"""What the vendors of the configured providers say of their own health.

Only of vendors that are in use: a page that a provider names in `statusUrl`, the vendor's own page where the provider
is called at the vendor's address, and Azure's Resource Health where a revoker has an application that may read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpx2

from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.providers.kinds import find_provider_kind
from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.schema import Configuration
from orchestration.config.vendors.options import AzureRevokerOptions
from orchestration.domain.provider_kind import ProviderKind
from orchestration.monitoring.health.service_documents import (
    AnnouncedOutage,
    ServiceReport,
    ServiceState,
    read_availability,
    read_document,
    worst_state,
)
from orchestration.outbound import OutboundRule, OutboundTransport, blocked
from orchestration.security.vendors.azure_token import resource_manager_token
from orchestration.security.vendors.http import VendorError, VendorHttp
from orchestration.security.vendors.registry import VendorRegistry
from orchestration.tls import shared_tls_context

_SECONDS = 5.0
# GitHub's summary has some 20 kB, Azure's feed on its worst days 200 kB.
_MOST_BYTES = 2_000_000
_MOST_REDIRECTS = 3
_API_VERSION = "2022-10-01"


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """What is known of one provider's vendor. `sources` are the addresses that were read, with what each said."""

    provider: str
    state: ServiceState
    outages: tuple[AnnouncedOutage, ...]
    sources: dict[str, str]


class ServiceStatusReader:
    """Reads status pages and Resource Health. Nothing that it reads can fail it: an answer is then unknown."""

    def __init__(self, configuration: Callable[[], Configuration], credentials: CredentialSource, clock: Clock) -> None:
        self._configuration = configuration
        self._credentials = credentials
        self._clock = clock
        self._vendors = VendorRegistry(configuration, credentials, clock)

    def readable(self) -> tuple[str, ...]:
        """The enabled providers about which somebody can be asked."""
        providers = self._configuration().runtime.providers
        return tuple(
            name
            for name, settings in providers.items()
            if settings.enabled and (status_page(settings) or self._azure_options(settings) is not None)
        )

    async def read_all(self, names: Sequence[str]) -> list[ServiceHealth]:
        """Read what is said about these providers, all at once."""
        found: dict[str, ServiceHealth] = {}

        async def read(name: str) -> None:
            found[name] = await self.read(name)

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(read, name)
        return [found[name] for name in names]

    async def read(self, name: str) -> ServiceHealth:
        """Read what is said about one provider's vendor."""
        settings = self._configuration().provider(name)
        reports: dict[str, ServiceReport] = {}
        if settings is not None and (page := status_page(settings)):
            reports[page] = await self._page(page, settings)
        if settings is not None and (options := self._azure_options(settings)) is not None:
            reports["Azure Resource Health"] = await self._resource_health(options, settings)
        outages = tuple(outage for report in reports.values() for outage in report.outages)
        said = {source: f"{one.state.value}: {one.detail}".rstrip(": ") for source, one in reports.items()}
        return ServiceHealth(name, worst_state([one.state for one in reports.values()]), outages, said)

    async def _page(self, url: str, settings: ProviderSettings) -> ServiceReport:
        kind = find_provider_kind(settings.type)
        services = settings.status_services or (kind.status_services if kind else ())
        try:
            body = await _fetched(url, private=settings.status_private_network)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
            return ServiceReport(ServiceState.UNKNOWN, detail=f"not read ({blocked(error) or type(error).__name__})")
        return read_document(body, services, self._clock.now())

    async def _resource_health(self, options: AzureRevokerOptions, settings: ProviderSettings) -> ServiceReport:
        match = self._vendors.find(settings.effective_api_key_env or "", "")
        secret = self._credentials.get(options.client_secret_env)
        if match is None or secret is None:
            return ServiceReport(ServiceState.UNKNOWN, detail=f"{options.client_secret_env} is not set")
        base = match.settings.base_url or match.descriptor.address or ""
        url = f"{base.rstrip('/')}{options.resource_id}/providers/Microsoft.ResourceHealth/availabilityStatuses/current"
        http = VendorHttp(self._clock, _SECONDS)
        try:
            token = await resource_manager_token(http, options, secret)
            headers = {"authorization": f"Bearer {token}"}
            answer = await http.send("GET", f"{url}?api-version={_API_VERSION}", headers=headers)
        except VendorError as error:
            return ServiceReport(ServiceState.UNKNOWN, detail=str(error))
        finally:
            with anyio.CancelScope(shield=True):
                await http.aclose()
        if answer.status != 200:
            return ServiceReport(ServiceState.UNKNOWN, detail=str(answer.refusal()))
        return read_availability(answer.data)

    def _azure_options(self, settings: ProviderSettings) -> AzureRevokerOptions | None:
        """The account of a provider, where a revoker describes it."""
        variable = settings.effective_api_key_env
        if settings.type != ProviderKind.AZURE or variable is None:
            return None
        match = self._vendors.find(variable, "")
        if match is None or match.descriptor.options is not AzureRevokerOptions:
            return None
        try:
            return AzureRevokerOptions.model_validate(match.settings.options)
        except ValueError:  # what is missing is a finding of the configuration
            return None


def status_page(settings: ProviderSettings) -> str | None:
    """The page to read: the one that the user names, or the vendor's, if the provider is called at the vendor's own
    address: a compatible server elsewhere is not the vendor's."""
    kind = find_provider_kind(settings.type)
    if settings.status_url or kind is None or kind.status_url is None:
        return settings.status_url
    try:
        host = urlsplit(settings.effective_base_url or "").hostname or ""
    except ValueError:
        return None
    return kind.status_url if any(host == one or host.endswith(f".{one}") for one in kind.status_hosts) else None


async def _fetched(url: str, *, private: bool) -> bytes:
    """The document at an address. Raises what the client raises, TimeoutError, and ValueError if it is too large."""
    # A page is public, and asked for without credentials: a redirect gives nothing away. It must not lead into our own
    # network, though.
    rule = OutboundRule(private=private, hosts=frozenset({(urlsplit(url).hostname or "").lower()}))
    async with httpx2.AsyncClient(
        transport=OutboundTransport(rule, shared_tls_context()),
        timeout=_SECONDS,
        trust_env=False,
        follow_redirects=True,
        max_redirects=_MOST_REDIRECTS,
    ) as client:
        with anyio.fail_after(_SECONDS):
            async with client.stream("GET", url) as response:
                response.raise_for_status()
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise ValueError("too large")
    return body

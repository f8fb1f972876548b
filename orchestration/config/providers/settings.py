"""The sections of providers: their addresses, credentials, time limits and circuit breakers."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field

from orchestration.config.providers.kinds import ProviderType, find_provider_kind
from orchestration.config.section import EnvironmentName, PositiveSeconds, Section
from orchestration.domain.answer_continuation import AnswerContinuation
from orchestration.domain.prompt_cache_mode import PromptCacheMode
from orchestration.domain.provider_api import ProviderApi
from orchestration.domain.provider_kind import ProviderKind
from orchestration.proxies import DIRECT, problem_of

# Section names under `runtime` that are providers without saying so; any other section needs a `type`.
WELL_KNOWN_PROVIDERS: dict[str, ProviderKind] = {
    "ollama": ProviderKind.OLLAMA,
    "azure": ProviderKind.AZURE,
    "azureOpenAI": ProviderKind.AZURE,
    "azureOpenai": ProviderKind.AZURE,
    "github": ProviderKind.GITHUB,
    "githubModels": ProviderKind.GITHUB,
    "openai": ProviderKind.OPENAI,
    "anthropic": ProviderKind.ANTHROPIC,
    "rehearsal": ProviderKind.REHEARSAL,
}


class Timeouts(Section):
    """Time limits of one model call, in seconds. The first token has its own limit: a model may have to be loaded
    first."""

    # A TCP handshake needs no longer on any working network; waiting would only delay the fallback.
    connect: PositiveSeconds = 5.0
    # Ollama loads a model of several gigabytes from disk before the first token.
    first_token: PositiveSeconds = 120.0
    next_token: PositiveSeconds = 30.0
    call: PositiveSeconds = 600.0


class BreakerSettings(Section):
    """When the circuit breaker of a route opens, and when the route is probed again."""

    # One failure may be chance; a third would cost another run its time limit.
    failures: Annotated[int, Field(ge=1, le=100)] = 2
    window: PositiveSeconds = 60.0
    probe_after: PositiveSeconds = 5.0
    probe_at_most: PositiveSeconds = 60.0


def _proxy_address(text: str) -> str:
    if text != DIRECT and (problem := problem_of(text)):
        raise ValueError(problem)
    return text


ProxyAddress = Annotated[str, AfterValidator(_proxy_address)]


class ProviderSettings(Section):
    """One provider: its address, its credentials, its limits."""

    type: ProviderType = ProviderKind.OPENAI
    enabled: bool = True
    # The shipped file uses the word of each vendor: `host` for Ollama, `endpoint` for Azure, `baseUrl` for OpenAI.
    base_url: str | None = Field(default=None, validation_alias=AliasChoices("host", "endpoint", "baseUrl", "base_url"))
    default_model: str | None = None
    # 0 pauses the provider: its calls wait, which `limit_provider` uses.
    concurrency: Annotated[int, Field(ge=0, le=10_000)] = 4
    # Connections that are kept for the next calls, and for how long after their last one: less than the server, or a
    # load balancer before it, keeps them.
    keep_connections: Annotated[int, Field(ge=0, le=10_000)] = 20
    keep_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    streaming: bool = True
    timeouts: Timeouts = Timeouts()
    breaker: BreakerSettings = BreakerSettings()
    api_key_env: EnvironmentName | None = Field(
        default=None, validation_alias=AliasChoices("apiKeyEnv", "tokenEnv", "api_key_env")
    )
    auth: Literal["key", "entra", "none"] | None = None
    api_version: str | None = None
    api: ProviderApi = ProviderApi.CHAT
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Field(gt=0)] | None = None
    # A deep probe generates tokens, which costs money at most vendors.
    deep_probe: bool = False
    # Whether a playbook may start `ollama serve` on this machine: the user decides what runs on it.
    allow_start: bool = False
    prompt_cache: PromptCacheMode = PromptCacheMode.AUTOMATIC
    # How its models go on with an answer that broke off; unless set, as all providers of the kind do.
    answer_continuation: AnswerContinuation | None = None
    status_url: str | None = None
    status_services: tuple[str, ...] = ()
    # Whether a public name in `statusUrl` may lead to a private address.
    status_private_network: bool = False
    # Who gets a request for more quota: contacts, rotations or levels, as in the response.
    quota_contacts: tuple[str, ...] = ()
    # The address of a proxy for HTTP, or `none`; without one, HTTPS_PROXY and NO_PROXY count for encrypted addresses.
    proxy: ProxyAddress | None = None
    # In the PEM format: further authorities, and a certificate of our own with its key.
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def effective_base_url(self) -> str | None:
        """The address: the one given, or the one that all customers of the vendor share."""
        kind = find_provider_kind(self.type)
        return self.base_url or (kind.base_url if kind else None)

    @property
    def effective_continuation(self) -> AnswerContinuation:
        """How its models go on with an answer that broke off."""
        if self.answer_continuation is not None:
            return self.answer_continuation
        kind = find_provider_kind(self.type)
        return kind.answer_continuation if kind else AnswerContinuation.NONE

    @property
    def is_local(self) -> bool:
        """Whether the provider runs on this machine; False for an invalid address."""
        try:
            host = urlsplit(self.effective_base_url or "").hostname or ""
        except ValueError:
            return False
        return host in ("localhost", "::1") or host.startswith("127.")

    @property
    def effective_api_key_env(self) -> str | None:
        """The variable with the key; None if no key is sent.

        A compatible server of one's own, told by its `baseUrl`, needs none unless the section says so.
        """
        if self.auth in ("entra", "none"):
            return None
        kind = find_provider_kind(self.type)
        if self.api_key_env or kind is None:
            return self.api_key_env
        return kind.default_key(self.base_url if self.auth is None else None)


def is_provider_section(name: str, section: object) -> bool:
    """Whether a key of `runtime` describes a provider."""
    if name in WELL_KNOWN_PROVIDERS:
        return True
    return isinstance(section, dict) and "type" in section and name not in ("limits", "commands", "providers")

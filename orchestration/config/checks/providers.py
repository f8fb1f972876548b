"""Whether the providers that work would go to can be used. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.checks.options import check_options
from orchestration.config.document import JsonPath
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, suggest
from orchestration.config.providers.kinds import SHIPPED_PROVIDERS, find_provider_kind, own_provider_kinds
from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind

# Source: GitHub's retirement notice of 2026-07-30, and the hosts that its documentation named before.
RETIRED_HOSTS = {"models.github.ai", "models.github.com", "models.inference.ai.azure.com"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check_names(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Every referenced provider is defined, and enabled if work would go to it."""
    known = configuration.runtime.providers
    required = dict(required_uses(configuration))
    for path, name in {**required, **dict(fallback_uses(configuration))}.items():
        if name not in known:
            hint = suggest(name, known)
            yield Problem(
                FindingCode.UNKNOWN_PROVIDER, path, f'there is no provider "{name}"', "a section of runtime", hint
            )
        elif path in required and not known[name].enabled:
            hint = f'Set "enabled": true in runtime.{name}.'
            yield Problem(FindingCode.PROVIDER_OFF, path, f'the provider "{name}" is disabled', hint=hint)


def check_readiness(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """Address, model and credentials: an error where work would go to it at once, else a warning."""
    needed = {name for _, name in required_uses(configuration)}
    for name, settings in configuration.runtime.providers.items():
        if settings.enabled:
            yield from _check_kind(name, settings, name in needed)
            yield from _check_address(name, settings)
            yield from _check_parts(configuration, name, name in needed)
            yield from _check_credentials(name, settings, environment, name in needed)
            if settings.concurrency == 0:
                hint = "Set it to 1 or more to continue."
                path = _section(name, "concurrency")
                yield Problem(FindingCode.PAUSED, path, f"{name} is paused: calls to it wait", hint=hint)


def check_fallbacks(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """The fallback chain has a second usable provider, none twice, and no rehearsal provider behind a real one."""
    seen = {configuration.runtime.default_provider}
    rehearsing = _is_rehearsal(configuration, configuration.runtime.default_provider)
    for path, name in fallback_uses(configuration):
        if name in seen:
            yield Problem(
                FindingCode.REPEATED_FALLBACK, path, f'"{name}" is in the chain already', hint="Remove one of them."
            )
        if _is_rehearsal(configuration, name) and not rehearsing:
            hint = "Remove it; for a rehearsal, choose it by name (`--provider`)."
            yield Problem(FindingCode.REHEARSAL_FALLBACK, path, f'"{name}" would replace a real provider', hint=hint)
        seen.add(name)
    usable = [name for name in seen if _usable(configuration, environment, name)]
    if len(usable) < 2 and not rehearsing:
        only = f"only {usable[0]} can be used" if usable else "no provider can be used"
        hint = "Add a second usable provider to runtime.fallbackProviders."
        yield Problem(FindingCode.NO_FALLBACK, ("runtime", "fallbackProviders"), only, "two or more", hint)


def required_uses(configuration: Configuration) -> Iterator[tuple[JsonPath, str]]:
    """Where the file names a provider that work goes to first."""
    yield ("runtime", "defaultProvider"), configuration.runtime.default_provider
    for index, agent in enumerate(configuration.agents):
        if agent.provider is not None:
            yield ("agents", index, "provider"), agent.provider
    for index, schedule in enumerate(configuration.schedules):
        if schedule.provider is not None:
            yield ("schedules", index, "provider"), schedule.provider


def fallback_uses(configuration: Configuration) -> Iterator[tuple[JsonPath, str]]:
    """The fallback chain after the default provider."""
    for index, name in enumerate(configuration.runtime.fallback_providers):
        yield ("runtime", "fallbackProviders", index), name


def _check_kind(name: str, settings: ProviderSettings, needed: bool) -> Iterator[Problem]:
    kind = find_provider_kind(settings.type)
    if kind is None:
        code = FindingCode.PROVIDER_TYPE_MISSING if needed else FindingCode.UNKNOWN_PROVIDER_TYPE
        own = own_provider_kinds()
        broken = f" {'; '.join(own.problems)}." if own.problems else ""
        known = suggest(settings.type, [*SHIPPED_PROVIDERS, *(descriptor.name for descriptor in own.usable)])
        message = f'the provider "{name}" cannot be used: no installed package has the type "{settings.type}"'
        yield Problem(code, _section(name, "type"), message, hint=f"Install its package. {known}{broken}".strip())
        return
    if kind.factory_for(settings.api) is None:
        message = f'the type "{kind.name}" has no API "{settings.api}"'
        yield Problem(FindingCode.API_MISSING, _section(name, "api"), message, hint='Remove "api".')
    yield from check_options(
        kind.options, settings.options, _section(name, "options"), f'a provider of the type "{kind.name}"'
    )
    for check in kind.checks:
        yield from check(name, settings, ("runtime", "providers", name))


def _check_address(name: str, settings: ProviderSettings) -> Iterator[Problem]:
    address = settings.effective_base_url
    path = _section(name, "baseUrl")
    if address is None:
        return
    parts = _split(address)
    if parts is None:
        hint = "Write the full URL, such as http://localhost:11434, without user name and password."
        yield Problem(
            FindingCode.BAD_ADDRESS, path, f"the address of {name} cannot be used", "an http:// or https:// URL", hint
        )
    elif parts.hostname in RETIRED_HOSTS:
        hint = "Use Azure AI Foundry or any OpenAI-compatible server instead."
        yield Problem(
            FindingCode.RETIRED_PROVIDER, path, f"{name} is GitHub Models, which no longer answers", hint=hint
        )
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK and settings.effective_api_key_env:
        yield Problem(FindingCode.PLAIN_HTTP, path, f"{name} would receive its key unencrypted", "https://")


def _check_parts(configuration: Configuration, name: str, needed: bool) -> Iterator[Problem]:
    code = FindingCode.PROVIDER_INCOMPLETE if needed else FindingCode.UNUSED_INCOMPLETE
    for key in _missing_parts(configuration, name):
        yield Problem(code, _section(name, key), f'{name} has no "{key}"', hint=f'Set "{key}" in runtime.{name}.')


def _check_credentials(
    name: str, settings: ProviderSettings, environment: CheckEnvironment, needed: bool
) -> Iterator[Problem]:
    variable = settings.effective_api_key_env
    if variable is None or variable in environment.variables:
        return
    code = FindingCode.CREDENTIALS_MISSING if needed else FindingCode.CREDENTIALS_UNSET
    message = f"{name} needs the variable {variable}, which is not set"
    yield Problem(code, _section(name, "apiKeyEnv"), message, hint=f"Add a line {variable}=… to .env.")


def _missing_parts(configuration: Configuration, name: str) -> list[str]:
    settings = configuration.runtime.providers[name]
    kind = find_provider_kind(settings.type)
    given = {
        "baseUrl": settings.effective_base_url,
        "defaultModel": settings.default_model or _agents_bring_models(configuration, name),
        "apiKeyEnv": settings.effective_api_key_env,
        "auth": settings.auth,
        "apiVersion": settings.api_version,
    }
    return [key for key in (kind.required if kind else ()) if not given[key]]


def _agents_bring_models(configuration: Configuration, name: str) -> bool:
    """Whether all agents that use this provider first have a model of their own."""
    default = configuration.runtime.default_provider
    users = [agent for agent in configuration.agents if (agent.provider or default) == name]
    return bool(users) and all(agent.default_model for agent in users)


def _usable(configuration: Configuration, environment: CheckEnvironment, name: str) -> bool:
    settings = configuration.provider(name)
    if settings is None or not settings.enabled or find_provider_kind(settings.type) is None:
        return False
    if _missing_parts(configuration, name):
        return False
    parts = _split(settings.effective_base_url or "http://localhost")
    variable = settings.effective_api_key_env
    return parts is not None and parts.hostname not in RETIRED_HOSTS and variable in {None, *environment.variables}


def _split(address: str) -> SplitResult | None:
    """The parts of a usable address; None for any other. One with a password is refused: addresses are shown in lists,
    logs and messages."""
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if sound and parts.username is None and " " not in address else None


def _is_rehearsal(configuration: Configuration, name: str) -> bool:
    settings = configuration.provider(name)
    return settings is not None and settings.type is ProviderKind.REHEARSAL


def _section(name: str, key: str) -> JsonPath:
    return ("runtime", "providers", name, key)

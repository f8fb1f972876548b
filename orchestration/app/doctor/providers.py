"""The providers: probed in parallel."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from orchestration.app.doctor.diagnosis import CheckResult, ok, problem, warning
from orchestration.app.found_providers import unused_providers
from orchestration.clock import Clock
from orchestration.config.credentials import EnvironmentCredentials
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.route_table import RouteTable

# The probes run in parallel, so this is about how long the whole command takes when nothing answers.
_PROBE_SECONDS = 4.0
_HERE = ("localhost", "127.0.0.1", "::1")


async def check(
    configuration: Configuration, credentials: EnvironmentCredentials, clock: Clock
) -> Sequence[CheckResult]:
    """Probe each enabled provider; it is a problem if none of the fallback chain answers."""
    routing = RouteTable(lambda: configuration, credentials)
    failures: dict[str, Failure | None] = {}
    async with anyio.create_task_group() as group:
        for name, settings in configuration.runtime.providers.items():
            # The embedded rehearsal provider starts when it is first used, so there is nothing to ask.
            if settings.enabled and not _is_embedded(configuration, name):
                group.start_soon(_ask, routing, name, failures, clock)
    await routing.aclose()
    lines = [_line(configuration, routing, name, failures[name]) for name in sorted(failures)]
    offered = await anyio.to_thread.run_sync(unused_providers, configuration, credentials)
    unused = [ok(f"provider {one.name}", advice) for one, advice in offered]
    return [*lines, *_ollama(configuration), *unused, _chain(configuration, failures)]


async def _ask(routing: RouteTable, name: str, failures: dict[str, Failure | None], clock: Clock) -> None:
    # Set before the attempt, because `move_on_after` ends the block without an error
    # (https://anyio.readthedocs.io/en/stable/cancellation.html).
    failures[name] = Failure(FailureKind.TIMEOUT, f"no answer within {_PROBE_SECONDS:g} s")
    with anyio.move_on_after(_PROBE_SECONDS):
        try:
            await routing.provider(name).endpoint.probe(clock.wall())
        except CallFailed as error:
            failures[name] = error.failure
        else:
            failures[name] = None


def _line(configuration: Configuration, routing: RouteTable, name: str, failure: Failure | None) -> CheckResult:
    settings = configuration.runtime.providers[name]
    subject = f"provider {name}"
    if failure is None:
        return ok(subject, f"answers at {settings.effective_base_url}")
    key = settings.effective_api_key_env
    advice = routing.provider(name).endpoint.hint
    if failure.kind is FailureKind.AUTHENTICATION and key:
        advice = f"put a valid {key}=… into .env"
    elif failure.kind is FailureKind.RETIRED:
        advice = "it was shut down for good: use Azure AI Foundry or any OpenAI-compatible server instead"
    return warning(subject, f"{failure.kind.value}: {failure.message}", advice)


def _ollama(configuration: Configuration) -> list[CheckResult]:
    """Whether Ollama is installed, if the configuration expects it on this machine."""
    local = [
        settings
        for settings in configuration.runtime.providers.values()
        if settings.enabled and settings.type is ProviderKind.OLLAMA and _host(settings.effective_base_url) in _HERE
    ]
    if not local:
        return []
    path = shutil.which("ollama")
    if path is None:
        return [warning("ollama", "not installed on this machine", "get it from https://ollama.com/download")]
    return [ok("ollama", path)]


def _chain(configuration: Configuration, failures: dict[str, Failure | None]) -> CheckResult:
    """Whether a run that names no provider could go on now."""
    runtime = configuration.runtime
    chain = (runtime.default_provider, *runtime.fallback_providers)
    # None means that the provider answered, so a provider that was not asked needs another default.
    answering = [name for name in chain if _is_embedded(configuration, name) or failures.get(name, ...) is None]
    if answering:
        return ok("fallback chain", f"{answering[0]} answers first of {', '.join(chain)}")
    advice = "start one of them, or name one that runs in runtime.defaultProvider; runs wait until then"
    return problem("fallback chain", f"none of {', '.join(chain)} answers", advice)


def _is_embedded(configuration: Configuration, name: str) -> bool:
    """Whether it is the rehearsal model that we bring ourselves: it is there when it is asked for."""
    settings = configuration.provider(name)
    return settings is not None and settings.type is ProviderKind.REHEARSAL and settings.base_url is None


def _host(address: str | None) -> str | None:
    try:
        return urlsplit(address or "").hostname
    except ValueError:
        return None

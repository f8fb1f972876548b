"""Providers and routes for display, from the configuration and the database. Pure; calls nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.providers.breaker import Breaker
from orchestration.providers.route_table import address_of
from orchestration.storage.route_states import seen_now

States = Mapping[tuple[str, str], tuple[dict[str, Any], datetime]]


@dataclass(frozen=True, slots=True)
class ProviderSummary:
    """One route, for display.

    `order` is 1 for the default provider, 2 for its first fallback and so on; None if it is used only by name. `state`
    is `unknown` if no process has reported on the route. `key` names the variable that holds the key.
    """

    provider: str
    model: str | None
    type: str
    address: str | None
    enabled: bool
    order: int | None
    state: str
    reason: str
    since: datetime | None
    usable_at: datetime | None
    last_failure: str
    last_seconds: float | None
    in_use: int
    limit: int
    headroom: Mapping[str, float]
    key: str | None
    key_present: bool | None
    rehearsal: bool


def overview(
    configuration: Configuration, key_present: Callable[[str], bool], states: States, now: datetime
) -> tuple[ProviderSummary, ...]:
    """Every configured provider with its default model, and the other models that processes have reported on."""
    order = _order(configuration)
    return tuple(
        _line(name, model, settings, order.get(name), key_present, states, now)
        for name, settings in configuration.runtime.providers.items()
        for model in _models(name, settings, states)
    )


def _order(configuration: Configuration) -> dict[str, int]:
    """The fallback chain. The rehearsal provider never replaces another, nor another it."""
    runtime = configuration.runtime
    chain = list(dict.fromkeys((runtime.default_provider, *runtime.fallback_providers)))
    rehearsing = [
        name for name in chain if (one := configuration.provider(name)) and one.type is ProviderKind.REHEARSAL
    ]
    chain = chain[:1] if chain[0] in rehearsing else [name for name in chain if name not in rehearsing]
    return {name: number for number, name in enumerate(chain, start=1)}


def _models(name: str, settings: ProviderSettings, states: States) -> Iterator[str | None]:
    yield settings.default_model
    for (provider, model), (state, _) in sorted(states.items()):
        if provider == name and model != settings.default_model and state.get("address") == address_of(settings):
            yield model


def _line(
    name: str,
    model: str | None,
    settings: ProviderSettings,
    order: int | None,
    key_present: Callable[[str], bool],
    states: States,
    now: datetime,
) -> ProviderSummary:
    state, _ = states.get((name, model or ""), ({}, now))
    breaker = _breaker(state, settings)
    seen = seen_now(state, now)
    key = settings.effective_api_key_env
    usable_at = breaker.usable_at() if breaker else None
    return ProviderSummary(
        provider=name,
        model=model,
        type=str(settings.type),
        address=settings.effective_base_url,
        enabled=settings.enabled,
        order=order if settings.enabled else None,
        state=breaker.state.value if breaker else ("closed" if seen else "unknown"),
        reason=breaker.reason if breaker else "",
        since=_moment(breaker.since) if breaker else None,
        usable_at=_moment(usable_at) if usable_at and usable_at > now.timestamp() else None,
        last_failure=str(state.get("last_failure", "")) if breaker else "",
        last_seconds=seen[-1].get("last_seconds") if seen else None,
        in_use=sum(int(one["in_use"]) for one in seen),
        limit=int(seen[-1]["limit"]) if seen else settings.concurrency,
        headroom=seen[-1]["headroom"] if seen else {},
        key=key,
        key_present=key_present(key) if key else None,
        rehearsal=settings.type is ProviderKind.REHEARSAL,
    )


def _breaker(state: Mapping[str, Any], settings: ProviderSettings) -> Breaker | None:
    if state.get("address") == address_of(settings):
        with contextlib.suppress(ValueError):
            return Breaker.from_json(state)
    return None


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None

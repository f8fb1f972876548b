"""What is known of the models behind the routes, for operators: to see it, and to have it learned anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from orchestration.config.schema import Configuration
from orchestration.providers.dialects.learned import LearnedDialect
from orchestration.providers.route_table import address_of
from orchestration.providers.state_sync import read_learned
from orchestration.storage.route_states import RouteStates, learned_of

States = Mapping[tuple[str, str], tuple[dict[str, Any], datetime]]


@dataclass(frozen=True, slots=True)
class LearnedRoute:
    """What the refusals of a route and its provider's list of models have taught. `window` is in tokens."""

    provider: str
    model: str
    facts: tuple[str, ...]
    window: int | None
    learned_at: datetime
    expires_at: datetime


def learned_routes(configuration: Configuration, states: States, now: datetime) -> Iterator[LearnedRoute]:
    """What is known of the configured providers, and counts now."""
    for (provider, model), (state, _) in sorted(states.items()):
        settings = configuration.provider(provider)
        if settings is None:
            continue
        found = read_learned(learned_of(state), address_of(settings)).current(now.timestamp())
        if not found.is_empty:
            at, expires = (datetime.fromtimestamp(one, UTC) for one in (found.last_at, found.expires_at))
            yield LearnedRoute(provider, model, tuple(found.facts()), found.known_window, at, expires)


def forget_learned(states: RouteStates, configuration: Configuration, providers: Iterable[str], at: datetime) -> None:
    """Have every process learn these providers' models anew, within a second."""
    stored = states.load()
    for name in providers:
        settings = configuration.provider(name)
        if settings is None:
            continue
        # A process may know more than is stored by now, so each route gets a moment before which nothing counts.
        nothing = {"address": address_of(settings), **LearnedDialect(forgotten_at=at.timestamp()).as_json()}
        models = {settings.default_model, *(model for provider, model in stored if provider == name)}
        for model in sorted(model for model in models if model):
            states.learn(name, model, partial(_replaced, nothing), at)


def _replaced(after: dict[str, Any], _before: dict[str, Any]) -> dict[str, Any]:
    return after

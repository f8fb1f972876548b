"""The health of providers, from their routes' breakers and from probes. Pure."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind

OK = "ok"


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """Whether a provider can be used; None before the first check. `reason` is a class of failure."""

    up: bool | None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Route:
    at: datetime
    open: bool
    reason: str = ""
    detail: str = ""


@dataclass(slots=True)
class _Provider:
    routes: dict[str, _Route] = field(default_factory=dict)
    probe: tuple[str, str] | None = None


class ProviderHealthBoard:
    """One line for each provider. Safe to use from several threads.

    A provider is up if one of its routes is in use and its last probe was answered. A route without a report counts as
    in use: breakers are only reported when they open.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._providers: dict[str, _Provider] = {}

    def opened(self, provider: str, model: str, at: datetime, reason: str, detail: str = "") -> None:
        """A route's breaker opened at that time."""
        self._update(provider, model, _Route(at, True, reason, detail))

    def closed(self, provider: str, model: str, at: datetime) -> None:
        """A route's breaker closed at that time, which it only does after an answer."""
        self._update(provider, model, _Route(at, False))

    def probed(self, provider: str, outcome: str, detail: str = "") -> None:
        """A probe has ended; `outcome` is `ok` or a class of failure."""
        with self._lock:
            self._of(provider).probe = (outcome, detail)

    def broken_routes(self, provider: str) -> frozenset[str]:
        """The models whose routes are out of use."""
        with self._lock:
            return frozenset(model for model, route in self._of(provider).routes.items() if route.open)

    def standing(self, provider: str, models: Sequence[str]) -> ProviderHealth:
        """The health of a provider; `models` are those that it is used for, or all known ones if that is empty."""
        with self._lock:
            known = self._of(provider)
            models = models or list(known.routes)
            broken = [route for model in models if (route := known.routes.get(model)) is not None and route.open]
            if broken and len(broken) == len(models):
                return ProviderHealth(False, broken[0].reason, broken[0].detail)
            if known.probe is None:
                return ProviderHealth(None)
            outcome, detail = known.probe
            return ProviderHealth(True) if outcome == OK else ProviderHealth(False, outcome, detail)

    def _update(self, provider: str, model: str, route: _Route) -> None:
        """Record a change. It arrives by event and by database, in any order: the newest counts."""
        with self._lock:
            known = self._of(provider).routes.get(model)
            if known is not None and known.at >= route.at:
                return
            self._of(provider).routes[model] = route
            # A breaker closes only after an answer, which makes the failed probe before it out of date.
            if known is not None and known.open and not route.open:
                self._of(provider).probe = (OK, "")

    def _of(self, provider: str) -> _Provider:
        return self._providers.setdefault(provider, _Provider())


def in_use(configuration: Configuration, asked: Iterable[str] = ()) -> Mapping[str, tuple[str, ...]]:
    """The providers that work may be given to, with the model that they are mainly used for: the chain, those that
    agents name, and those that runs have `asked` for. A rehearsal provider that has not been started has no address,
    and is left out."""
    runtime = configuration.runtime
    named = (agent.provider for agent in configuration.agents if agent.provider)
    names = (*chain(configuration), *named, *asked)
    found: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(names):
        settings = runtime.providers.get(name)
        if settings is None or not settings.enabled:
            continue
        if settings.type is ProviderKind.REHEARSAL and settings.base_url is None:
            continue
        found[name] = (settings.default_model,) if settings.default_model else ()
    return found


def chain(configuration: Configuration) -> tuple[str, ...]:
    """The default provider and its fallbacks, those that are enabled; a rehearsal never stands in for another."""
    runtime = configuration.runtime
    default = runtime.providers.get(runtime.default_provider)
    alone = default is not None and default.type is ProviderKind.REHEARSAL
    names = dict.fromkeys((runtime.default_provider, *(() if alone else runtime.fallback_providers)))
    usable = []
    for name in names:
        settings = runtime.providers.get(name)
        if settings is None or not settings.enabled:
            continue
        # Even a rehearsal that is configured as a fallback: its invented answers must not end up in real work.
        if settings.type is not ProviderKind.REHEARSAL or name == runtime.default_provider:
            usable.append(name)
    return tuple(usable)


def usable(standings: Mapping[str, ProviderHealth], members: Sequence[str]) -> int | None:
    """How many members of the chain can be used; None until each of them has been checked."""
    ups = [standings[name].up for name in members if name in standings]
    # A count before all have been checked would be too low, and raise an alert at every start.
    return None if len(ups) < len(members) or None in ups else sum(bool(up) for up in ups)

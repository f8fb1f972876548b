"""Providers: breakers, limits with sliders that act, latency, errors, spend, and what the providers say of their own
limits."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.project import Project
from orchestration.config.overrides import AnyChange, LimitProvider, Override, SwitchOffProvider
from orchestration.errors import NotFoundError
from orchestration.providers.provider_summary import ProviderSummary, overview
from orchestration.security.principal import Principal, Role
from orchestration.storage.route_states import RouteStates
from orchestration.storage.spend import Spend
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_MOST = 64
_MOST_ALLOWED = 10_000
_LATELY = timedelta(hours=1)


@dataclass(slots=True)
class Lately:
    """The tries of the last hour at one provider. Failures that another route made good count, too."""

    tries: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.tries if self.tries else None

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def slowest(self) -> float | None:
        """The 90th percentile, by nearest rank."""
        ranked = sorted(self.seconds)
        return ranked[-(-9 * len(ranked) // 10) - 1] if ranked else None

    @property
    def first_token(self) -> float | None:
        return statistics.median(self.first_tokens) if self.first_tokens else None


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider with its routes. `most` is where its slider ends; `overrides` are those about it."""

    name: str
    lines: tuple[ProviderSummary, ...]
    concurrency: int
    most: int
    overrides: tuple[Override, ...]

    @property
    def first(self) -> ProviderSummary:
        return self.lines[0]

    @property
    def state(self) -> str:
        """The worst of its routes' states; `disabled` and `paused` where a person or a playbook has said so."""
        if not self.first.enabled:
            return "disabled"
        if self.concurrency == 0:
            return "paused"
        states = {line.state for line in self.lines}
        return next((one for one in ("open", "half-open", "closed") if one in states), "unknown")


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms."""
    providers = _Providers(site)
    deeds = {
        "limit": (providers.limit, Role.OPERATOR),
        "switch-off": (providers.switch_off, Role.OPERATOR),
        "end-override": (providers.end_override, Role.OPERATOR),
        "probe": (providers.probe, Role.RESPONDER),
    }
    subjects = ("route", "override", "configuration", "model_call")
    return site.page(SitePage("/providers", "providers.html", "providers", providers.read, subjects), deeds)


def by_provider(app: Project) -> list[ProviderView]:
    """Every provider of the configuration, in the order of the fallback chain, those in no chain last."""
    configuration, credentials = app.configuration, app.store.credentials
    states = RouteStates(app.database).load()
    lines = overview(configuration, lambda name: credentials.get(name) is not None, states, app.clock.now())
    views = [
        ProviderView(
            name=name,
            lines=tuple(line for line in lines if line.provider == name),
            concurrency=settings.concurrency,
            most=max(_MOST, settings.concurrency),
            overrides=tuple(one for one in app.store.overrides if _is_about(one, name)),
        )
        for name, settings in configuration.runtime.providers.items()
    ]
    return sorted(views, key=lambda view: (view.first.order is None, view.first.order or 0))


def _is_about(override: Override, provider: str) -> bool:
    return isinstance(override.change, LimitProvider | SwitchOffProvider) and override.change.affects(provider)


class _Providers:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._spend = Spend(site.app.database)

    async def read(self, request: Request) -> Values:
        asked = request.query_params.get("asked", "")
        return await anyio.to_thread.run_sync(self._read, asked)

    def _read(self, asked: str) -> Values:
        now = self._app.clock.now()
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        calls = [
            event.data
            for kind in ("model_call.finished", "model_call.failed")
            for _, event in self._app.timeline.list_newest_of_kind(kind, now - _LATELY)
        ]
        runtime = self._app.configuration.runtime
        return {
            "views": by_provider(self._app),
            "lately": lately(calls),
            "spent": self._spend.by_provider(today),
            "total": self._spend.totals(since=today),
            "daily_tokens": runtime.daily_tokens,
            "daily_usd": runtime.daily_usd,
            "nothing": Lately(),
            "asked": asked,
        }

    async def limit(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        name = self._known(form)
        change = LimitProvider(target=name, concurrency=form.whole("concurrency", 0, _MOST_ALLOWED))
        return self._override(form, principal, change, "limit")

    async def switch_off(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        return self._override(form, principal, SwitchOffProvider(target=self._known(form)), "switched-off")

    async def end_override(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        self._app.store.remove_override(form.text("override"), principal.name)
        return "/providers", "override-removed"

    async def probe(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        name = self._known(form)
        result = await self._app.gateway.probe(name)
        return f"/providers?asked={name}", "answers" if result.ok else "silent"

    def _override(self, form: Form, principal: Principal, change: AnyChange, done: str) -> tuple[str, str]:
        # On this thread: those who follow the configuration are told on the one that changes it.
        seconds = form.seconds("duration")
        self._app.store.add_override(change, reason=form.text("reason"), actor=principal.name, seconds=seconds)
        return "/providers", done

    def _known(self, form: Form) -> str:
        name = form.text("provider")
        if self._app.configuration.provider(name) is None:
            known = ", ".join(self._app.configuration.runtime.providers)
            raise NotFoundError(f"expected a provider of the configuration ({known}), got '{name[:64]}'")
        return name


def lately(calls: Sequence[Mapping[str, Any]]) -> dict[str, Lately]:
    """What came of the tries in these calls, by provider. Pure."""
    found: dict[str, Lately] = {}
    for call in calls:
        for one in call.get("tries") or ():
            provider = str(one.get("route", "")).partition("/")[0]
            seen = found.setdefault(provider, Lately())
            seen.tries += 1
            if one.get("outcome") == "ok":
                seen.seconds.append(float(one.get("seconds") or 0.0))
            else:
                outcome = str(one.get("outcome"))
                seen.failures[outcome] = seen.failures.get(outcome, 0) + 1
        if call.get("first_token_seconds") is not None:
            provider = str(call.get("route", "")).partition("/")[0]
            found.setdefault(provider, Lately()).first_tokens.append(float(call["first_token_seconds"]))
    return found

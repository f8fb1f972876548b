"""The providers page: breakers, concurrency limits, latency, errors, spend, and the headroom that providers report."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.project import ProjectRecords
from orchestration.config.isolation import require_not_isolated
from orchestration.config.overrides import AnyChange, LimitProvider, Override, SwitchOffProvider
from orchestration.errors import NotFoundError
from orchestration.events.providers import ModelCallFailed, ModelCallFinished
from orchestration.providers.provider_summary import ProviderSummary, overview
from orchestration.security.principal import Principal, Role
from orchestration.storage.route_states import RouteStates
from orchestration.storage.spend import Spend
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values

# Where a slider ends unless the limit is higher: most providers take less, and a longer slider is hard to set.
_SLIDER_MAX = 64
_MAX_CONCURRENCY = 10_000
_USAGE_WINDOW = timedelta(hours=1)
# Of each kind: more of them change no share that a reader would notice.
_CALLS_COUNTED = 300


@dataclass(slots=True)
class RecentUsage:
    """The attempts at one provider in the last hour, including failures that a fallback made up for."""

    attempts: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.attempts if self.attempts else None

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def percentile_90(self) -> float | None:
        """The 90th percentile, by the nearest-rank method."""
        ranked = sorted(self.seconds)
        # `-(-a // b)` rounds up without floating point, in which 0.9 * 10 may come out as slightly more than 9.
        return ranked[-(-9 * len(ranked) // 10) - 1] if ranked else None

    @property
    def first_token(self) -> float | None:
        return statistics.median(self.first_tokens) if self.first_tokens else None


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider with its routes. `most` is the maximum of its slider."""

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
        """The worst state of its routes; `disabled` or `paused` if the configuration or an override says so."""
        if not self.first.enabled:
            return "disabled"
        if self.concurrency == 0:
            return "paused"
        states = {line.state for line in self.lines}
        return next((one for one in ("open", "half-open", "closed") if one in states), "unknown")


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page and its forms."""
    providers = _Providers(site)
    actions = {
        "limit": (providers.limit, Role.OPERATOR),
        "switch-off": (providers.switch_off, Role.OPERATOR),
        "end-override": (providers.end_override, Role.OPERATOR),
        "probe": (providers.probe, Role.RESPONDER),
    }
    subjects = ("route", "override", "configuration", "model_call")
    return site.page(SitePage("/providers", "providers.html", "providers", providers.read, subjects), actions)


def by_provider(app: ProjectRecords) -> list[ProviderView]:
    """All configured providers in the order of the fallback chain, those outside the chain last."""
    configuration, credentials = app.configuration, app.store.credentials
    states = RouteStates(app.database).load()
    lines = overview(configuration, lambda name: credentials.get(name) is not None, states, app.clock.now())
    views = [
        ProviderView(
            name=name,
            lines=tuple(line for line in lines if line.provider == name),
            concurrency=settings.concurrency,
            most=max(_SLIDER_MAX, settings.concurrency),
            overrides=tuple(one for one in app.store.overrides if _is_about(one, name)),
        )
        for name, settings in configuration.runtime.providers.items()
    ]
    # `None` cannot be compared to numbers, so whether there is a position comes first in the key.
    return sorted(views, key=lambda view: (view.first.order is None, view.first.order or 0))


def _is_about(override: Override, provider: str) -> bool:
    return isinstance(override.change, LimitProvider | SwitchOffProvider) and override.change.affects(provider)


class _Providers:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._spend = Spend(site.app.database)

    async def read(self, request: Request) -> Values:
        probed = request.query_params.get("asked", "")
        return await anyio.to_thread.run_sync(self._read, probed)

    def _read(self, probed: str) -> Values:
        now = self._app.clock.now()
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        calls = [
            event.data
            for kind in (ModelCallFinished.kind, ModelCallFailed.kind)
            for _, event in self._app.timeline.list_newest_of_kind(kind, now - _USAGE_WINDOW, _CALLS_COUNTED)
        ]
        runtime = self._app.configuration.runtime
        spent = self._spend.by_provider(today)
        return {
            "views": by_provider(self._app),
            "usage": recent_usage(calls),
            "spent": spent,
            "total": (sum(tokens for tokens, _ in spent.values()), sum(usd for _, usd in spent.values())),
            "daily_tokens": runtime.daily_tokens,
            "daily_usd": runtime.daily_usd,
            "no_usage": RecentUsage(),
            "probed": probed,
        }

    async def limit(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        name = self._known(form)
        change = LimitProvider(target=name, concurrency=form.whole("concurrency", 0, _MAX_CONCURRENCY))
        return self._override(form, principal, change, "limit")

    async def switch_off(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        return self._override(form, principal, SwitchOffProvider(target=self._known(form)), "switched-off")

    async def end_override(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        self._app.store.remove_override(form.text("override"), principal.name)
        return "/providers", "override-removed"

    async def probe(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        name = self._known(form)
        require_not_isolated(self._app.store, "probe a provider")
        result = await self._app.gateway.probe(name)
        return f"/providers?asked={name}", "answers" if result.ok else "silent"

    def _override(self, form: Form, principal: Principal, change: AnyChange, done: str) -> tuple[str, str]:
        # On the event loop's thread: see the same note in the configuration page.
        seconds = form.seconds("duration")
        self._app.store.add_override(change, reason=form.text("reason"), actor=principal.name, seconds=seconds)
        return "/providers", done

    def _known(self, form: Form) -> str:
        name = form.text("provider")
        if self._app.configuration.provider(name) is None:
            known = ", ".join(self._app.configuration.runtime.providers)
            raise NotFoundError(f"There is no provider '{name[:64]}'. Configured are: {known}.")
        return name


def recent_usage(calls: Sequence[Mapping[str, Any]]) -> dict[str, RecentUsage]:
    """Aggregates the attempts of model calls by provider. Pure."""
    found: dict[str, RecentUsage] = {}
    for call in calls:
        for one in call.get("tries") or ():
            provider = str(one.get("route", "")).partition("/")[0]
            usage = found.setdefault(provider, RecentUsage())
            usage.attempts += 1
            if one.get("outcome") == "ok":
                usage.seconds.append(float(one.get("seconds") or 0.0))
            else:
                outcome = str(one.get("outcome"))
                usage.failures[outcome] = usage.failures.get(outcome, 0) + 1
        if call.get("first_token_seconds") is not None:
            provider = str(call.get("route", "")).partition("/")[0]
            found.setdefault(provider, RecentUsage()).first_tokens.append(float(call["first_token_seconds"]))
    return found

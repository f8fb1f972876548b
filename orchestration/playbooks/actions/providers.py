"""Actions on providers: check them, route around them, have them probed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio

from orchestration.config.overrides import EVERYTHING, RouteTo
from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.schema import Configuration
from orchestration.domain.duty import DutyOwner, DutyRequest
from orchestration.domain.provider_kind import ProviderKind
from orchestration.domain.subject_kind import SubjectKind
from orchestration.monitoring.health.service_status import ServiceStatusReader
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    Minutes,
    NoParameters,
    P,
    Parameters,
    ReversibleAction,
    action,
)
from orchestration.playbooks.actions.override_effects import (
    OverridesUndo,
    add_override,
    made_by,
    remove_overrides,
    workaround_duties,
)
from orchestration.playbooks.model import Risk
from orchestration.providers.breaker import NEEDS_A_PERSON, BreakerState
from orchestration.providers.failures import FailureKind
from orchestration.providers.route import ProbeResult

_ONLY_CALLS_SHOW = frozenset({FailureKind.QUOTA.value, FailureKind.MODEL_MISSING.value})


class SomeProviders(Parameters):
    """Providers by name; without any, those of the fallback chain, for actions that only read."""

    providers: tuple[str, ...] = ()


class RouteParameters(Parameters):
    """`providers` are those to avoid; `to` is a name, or else the first that answers; for so many minutes.

    With `agents`, only the calls of these are rerouted. With `until_it_answers` this ends as soon as the avoided
    providers answer; without, a person decides, because no probe shows what is wrong with their answers.
    """

    providers: tuple[str, ...]
    to: str | None = None
    minutes: Minutes = 60.0
    agents: tuple[str, ...] = ()
    until_it_answers: bool = True


class RerouteUndo(OverridesUndo):
    """`avoids` are the providers that calls are routed around: the reroute ends once they answer again, unless it is
    for a `person` to end."""

    avoids: tuple[str, ...] = ()
    person: bool = False


def chain_of(configuration: Configuration) -> tuple[str, ...]:
    """The providers that calls may go to, the preferred first: the fallback chain, and those that agents name."""
    runtime = configuration.runtime
    named = (agent.provider for agent in configuration.agents if agent.provider)
    names = dict.fromkeys((runtime.default_provider, *runtime.fallback_providers, *named))
    return tuple(name for name in names if name in runtime.providers)


def ollama_program() -> str | None:
    """The program that would be started as Ollama on this machine; None if it is not installed."""
    return shutil.which("ollama")


class ProviderAction(Action[P]):
    """What the actions on providers share."""

    def chosen(self, names: Sequence[str]) -> tuple[str, ...]:
        """The named providers that exist; without any, the whole chain."""
        configuration = self.services.configuration()
        return tuple(name for name in names if name in configuration.runtime.providers) or chain_of(configuration)

    def usable(self) -> tuple[str, ...]:
        """The providers of the chain that may be used now."""
        closed = {
            status.provider
            for status in self.services.gateway.statuses()
            if status.state == BreakerState.CLOSED.value and status.limit > 0
        }
        standings = self.services.provider_health()
        down = {name for name, standing in standings.items() if standing.up is False}
        return tuple(name for name in chain_of(self.services.configuration()) if name in closed and name not in down)


@action
class ProbeAction(ProviderAction[SomeProviders]):
    """Probe providers."""

    name = "provider.probe"
    summary = "ask each provider whether it works"
    proves = frozenset({SubjectKind.PROVIDERS})
    finds = ("down", "up", "outcomes", "local_ollama_down", "ollama_installed")

    async def run(self, context: ActionContext, parameters: SomeProviders) -> ActionOutcome:
        names = self.chosen(parameters.providers)
        results: dict[str, ProbeResult] = {}

        async def probe(name: str) -> None:
            results[name] = await self.services.gateway.probe(name)

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(probe, name)
        ordered = [self._as_calls_were(results[name]) for name in names]
        down = [result for result in ordered if not result.ok]
        summary = "; ".join(f"{one.provider}: {one.outcome.replace('_', ' ')} {one.detail}".rstrip() for one in ordered)
        return ActionOutcome(
            summary or "there is no provider to ask",
            {
                "down": [one.provider for one in down],
                "up": [one.provider for one in ordered if one.ok],
                "outcomes": sorted({one.outcome for one in down}),
                "local_ollama_down": any(self._is_local_ollama(one) for one in down),
                "ollama_installed": ollama_program() is not None,
            },
            {one.provider: {"outcome": one.outcome, "detail": one.detail, "seconds": one.seconds} for one in ordered},
        )

    def _as_calls_were(self, result: ProbeResult) -> ProbeResult:
        """A probe that was answered says nothing of a used-up quota: the list of models is served all the same. Then
        what the last calls met counts, until one of them succeeds."""
        health = self.services.provider_health().get(result.provider)
        if not result.ok or health is None or health.up is not False or health.reason not in _ONLY_CALLS_SHOW:
            return result
        return replace(result, outcome=health.reason, detail=health.detail)

    def _is_local_ollama(self, result: ProbeResult) -> bool:
        settings = self.services.configuration().provider(result.provider)
        # Only where nothing listens: an Ollama that answers with an error runs, and a second one could
        # not take its port.
        return settings is not None and result.outcome == "unreachable" and is_local_ollama(settings)


def is_local_ollama(settings: ProviderSettings) -> bool:
    """Whether a provider is an Ollama on this machine."""
    return settings.type is ProviderKind.OLLAMA and settings.is_local


@action
class StatusPage(ProviderAction[SomeProviders]):
    """Read what vendors say of their own health."""

    name = "provider.status-page"
    summary = "read the vendors' status pages, and Azure's Resource Health where a revoker may"
    finds = ("announced", "outages")

    async def run(self, context: ActionContext, parameters: SomeProviders) -> ActionOutcome:
        reader = ServiceStatusReader(self.services.configuration, self.services.store.credentials, self.services.clock)
        readable = set(reader.readable())
        found = await reader.read_all([name for name in self.chosen(parameters.providers) if name in readable])
        outages = [f"{one.provider}: {outage.title}" for one in found for outage in one.outages]
        text = "; ".join(f"{one.provider}: {one.state.value}" for one in found)
        text = "; ".join([text, *outages]) if text else "none of them has a page that a program can read"
        announced = any(one.state.is_trouble for one in found)
        return ActionOutcome(
            text, {"announced": announced, "outages": outages}, {one.provider: one.sources for one in found}
        )


@action
class CredentialCheckAction(ProviderAction[SomeProviders]):
    """Check that credentials are set."""

    name = "provider.credentials"
    summary = "see whether the credentials of each provider are set"
    finds = ("missing",)

    async def run(self, context: ActionContext, parameters: SomeProviders) -> ActionOutcome:
        needed = {name: self._variable(name) for name in self.chosen(parameters.providers)}
        missing = {
            name: variable
            for name, variable in needed.items()
            if variable and self.services.store.credentials.get(variable) is None
        }
        text = ", ".join(f"{variable} (for {name})" for name, variable in missing.items())
        return ActionOutcome(f"not set: {text}" if text else "all credentials are set", {"missing": sorted(missing)})

    def _variable(self, name: str) -> str | None:
        settings = self.services.configuration().provider(name)
        return settings.effective_api_key_env if settings else None


@action
class LimitsAndQuotas(ProviderAction[SomeProviders]):
    """Compare usage with limits."""

    name = "provider.limits"
    summary = "compare what is left of each provider's own limits"
    finds = ("used_percent", "in_use")

    async def run(self, context: ActionContext, parameters: SomeProviders) -> ActionOutcome:
        names = self.chosen(parameters.providers)
        statuses = [status for status in self.services.gateway.statuses() if status.provider in names]
        used = max(
            (percent for status in statuses if (percent := used_percent(status.headroom)) is not None), default=None
        )
        summary = "; ".join(f"{one.provider}/{one.model}: {one.in_use} of {one.limit} calls" for one in statuses)
        evidence = {f"{one.provider}/{one.model}": one.headroom for one in statuses}
        return ActionOutcome(summary, {"used_percent": used, "in_use": sum(one.in_use for one in statuses)}, evidence)


def used_percent(headroom: Mapping[str, float]) -> float | None:
    """The percentage of a limit that is used up, by the provider's own headers; None if it sends none."""
    shares = [
        100 * (1 - headroom[f"remaining-{what}"] / headroom[f"limit-{what}"])
        for what in ("requests", "tokens")
        # Azure among others sends -1 in place of a figure that it does not have.
        if headroom.get(f"limit-{what}", 0) > 0 and headroom.get(f"remaining-{what}", -1) >= 0
    ]
    return max(shares, default=None)


@action
class FallbackChainAction(ProviderAction[NoParameters]):
    """Check what is left of the fallback chain."""

    name = "provider.chain"
    summary = "see which providers of the fallback chain can be used now"
    finds = ("usable", "unusable", "single")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        usable = self.usable()
        rest = [name for name in chain_of(self.services.configuration()) if name not in usable]
        summary = f"usable: {', '.join(usable) or 'none'}; not usable: {', '.join(rest) or 'none'}"
        if len(usable) == 1:
            summary += "; only one is left, so the next failure stops all work"
        return ActionOutcome(summary, {"usable": list(usable), "unusable": rest, "single": len(usable) == 1})


@action
class Reroute(ProviderAction[RouteParameters], ReversibleAction[RouteParameters, RerouteUndo]):
    """Route around providers."""

    name = "provider.route"
    summary = "send calls to another provider first, for a time"
    risk = Risk.REVERSIBLE
    undo_summary = "the calls go where they went before"
    finds = ("provider", "overrides")

    def targets(self, parameters: RouteParameters) -> tuple[str, ...]:
        return parameters.providers

    async def preview(self, context: ActionContext, parameters: RouteParameters) -> str:
        to = await self._best(parameters)
        whom = ", ".join(self._affected(parameters)) or "nobody"
        return f"send the calls of {whom} to {to} first for {parameters.minutes:g} min"

    async def run(self, context: ActionContext, parameters: RouteParameters) -> ActionOutcome:
        standing = {one.id: one.change.provider for one in made_by(self, context) if isinstance(one.change, RouteTo)}
        # After a crash in the middle, the remaining agents go to the provider that was chosen for the first ones.
        to = next(iter(standing.values()), "") or await self._best(parameters)
        made = list(standing)
        made += [self._override(context, target, to, parameters) for target in self._affected(parameters)]
        if not made:
            return ActionOutcome(f"all calls go past {', '.join(parameters.providers)} already", {"provider": to})
        summary = f"calls go to {to} first, past {', '.join(parameters.providers)}, for {parameters.minutes:g} min"
        person = not parameters.until_it_answers
        undo = RerouteUndo(overrides=tuple(made), avoids=parameters.providers, person=person)
        return ActionOutcome(
            summary, {"provider": to, "overrides": made}, undo=undo.as_json(), duties=self._duties(made, parameters)
        )

    async def revert(self, context: ActionContext, state: RerouteUndo) -> str:
        remove_overrides(self, context, state.overrides)
        return f"{', '.join(state.avoids)} may be used again"

    def _duties(self, made: Sequence[str], parameters: RouteParameters) -> tuple[DutyRequest, ...]:
        """Who takes it back: nobody needs to, once the providers answer, unless that takes a person."""
        names = ", ".join(parameters.providers)
        reasons = {one.reason for one in self.services.gateway.statuses() if one.provider in parameters.providers}
        if not parameters.until_it_answers:
            summary = f"choose another model in the configuration, or decide that {names} may be used again"
        elif lasting := sorted(reasons & NEEDS_A_PERSON):
            summary = f"mend {names} ({', '.join(lasting)}), or choose another provider in the configuration"
        else:
            return workaround_duties(made, f"use {names} again, once it answers", DutyOwner.AUTOMATION)
        return workaround_duties(made, summary, DutyOwner.RESPONDER)

    async def _best(self, parameters: RouteParameters) -> str:
        """The named provider, or else the first of the chain that answers now. Raises ActionError if there is none."""
        if parameters.to is not None:
            if self.services.configuration().provider(parameters.to) is None:
                raise ActionError(f"expected a provider of the configuration, got '{parameters.to}'")
            return parameters.to
        # Probed although it counts as usable: that may be known from some seconds ago, and all calls are
        # about to go there.
        for name in self.usable():
            if name not in parameters.providers and (await self.services.gateway.probe(name)).ok:
                return name
        raise ActionError("expected another provider that answers, found none; configure a fallback provider")

    def _affected(self, parameters: RouteParameters) -> tuple[str, ...]:
        """The agents, all or the given ones, whose first choice is one of the providers; `*` if that is all of them."""
        configuration = self.services.configuration()
        default = configuration.runtime.default_provider
        first = {agent.id: agent.provider or default for agent in configuration.agents}
        avoided = set(parameters.providers)
        if not parameters.agents and default in avoided and all(name in avoided for name in first.values()):
            return (EVERYTHING,)
        chosen = parameters.agents or first
        return tuple(agent for agent, name in first.items() if name in avoided and agent in chosen)

    def _override(self, context: ActionContext, target: str, to: str, parameters: RouteParameters) -> str:
        return add_override(self, context, RouteTo(target=target, provider=to), parameters.minutes)


@action
class ResetBreaker(ProviderAction[SomeProviders]):
    """Probe broken routes now."""

    name = "provider.reset-breaker"
    summary = "have the broken routes of these providers probed now"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: routes that do not answer stay out of use"

    def targets(self, parameters: SomeProviders) -> tuple[str, ...]:
        return tuple(name for name in parameters.providers if self.services.configuration().provider(name))

    async def preview(self, context: ActionContext, parameters: SomeProviders) -> str:
        return f"probe the broken routes of {', '.join(self.targets(parameters))} now"

    async def run(self, context: ActionContext, parameters: SomeProviders) -> ActionOutcome:
        names = self.targets(parameters)
        for name in names:
            # Only probed: a breaker that was closed by force would send calls to a provider that is still down.
            self.services.gateway.reset(name)
        return ActionOutcome(f"the routes of {', '.join(names)} are probed now", undo={})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "nothing had to be undone: routes that do not answer stay out of use"

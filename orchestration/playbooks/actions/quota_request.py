"""Asking for more quota: the request is made from measured figures, shown in the question, and sent on approval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio.to_thread

from orchestration.config.providers.settings import ProviderSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.events.providers import ModelCallFailed, ModelCallFinished
from orchestration.incidents import oncall
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.model import Actor
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.recipients import plan
from orchestration.playbooks.actions import ActionContext, ActionError, ActionOutcome, action
from orchestration.playbooks.actions.providers import ProviderAction, SomeProviders
from orchestration.playbooks.model import Mode, Risk
from orchestration.providers.usage_measurement import WINDOW, MeasuredUsage, measure, requests_to

_CALLS = (ModelCallFinished.kind, ModelCallFailed.kind)
# A week of a busy system; the text says from when the records are.
_MOST_CALLS = 50_000
_STEP = "quota"


@action
class QuotaText(ProviderAction[SomeProviders]):
    """Request more quota."""

    name = "provider.quota-text"
    summary = "write a request for more quota from the measured use, and send it to `quotaContacts` on approval"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: what was sent cannot be unsent"
    finds = ("text", "sent")

    def targets(self, parameters: SomeProviders) -> tuple[str, ...]:
        return tuple(name for name in parameters.providers if self.services.configuration().provider(name))

    def at_most(self, parameters: SomeProviders) -> Mode:
        # It asks somebody for something that costs money, in the user's name.
        return Mode.ASK

    async def preview(self, context: ActionContext, parameters: SomeProviders) -> str:
        text = await self._text(parameters, context.now)
        names = ", ".join(contact.name or contact.id for contact in self._contacts(parameters, context.now))
        where = f"send to {names}" if names else "put on the incident, since no provider has quotaContacts,"
        return f"{where} this request:\n{text}"

    async def run(self, context: ActionContext, parameters: SomeProviders) -> ActionOutcome:
        if not self.targets(parameters):
            raise ActionError("expected a provider of the configuration, got none")
        text = await self._text(parameters, context.now)
        sent = await anyio.to_thread.run_sync(self._send, context, parameters, text)
        summary = (
            f"the request for more quota goes to {', '.join(sent)}" if sent else "nobody is named in quotaContacts"
        )
        return ActionOutcome(f"{summary}; it is on the timeline", {"text": text, "sent": sent}, {"text": text}, undo={})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "what was sent cannot be unsent"

    async def _text(self, parameters: SomeProviders, now: datetime) -> str:
        return await anyio.to_thread.run_sync(self._written, parameters, now)

    def _written(self, parameters: SomeProviders, now: datetime) -> str:
        events = self.services.timeline.list_recent(_CALLS, now - WINDOW, _MOST_CALLS)
        configuration = self.services.configuration()
        headroom = {(one.provider, one.model): one.headroom for one in self.services.gateway.statuses()}
        parts = []
        for name in self.targets(parameters):
            settings = configuration.runtime.providers[name]
            used = measure(requests_to(name, events))
            told = {model: limits for (provider, model), limits in headroom.items() if provider == name}
            parts.append(quota_request(name, settings, used, told))
        return self.services.redactor.text("\n\n".join(parts))

    def _send(self, context: ActionContext, parameters: SomeProviders, text: str) -> list[str]:
        """Put the request on the timeline and into the outbox; each once, also when it is repeated. Blocks."""
        entries = self.services.incidents.entries(context.incident_id)
        if not any(entry.data.get("text") == text for entry in entries):
            self.services.incident_service.execute(context.incident_id, Actor(context.actor), AddNote(text))
        contacts = self._contacts(parameters, context.now)
        if not contacts:
            return []
        response = self.services.configuration().response
        names = ", ".join(self.targets(parameters))
        notice = Notice(
            kind=NoticeKind.REPORT,
            incident_id=context.incident_id,
            severity=Severity.P3,
            scenario=Scenario.PROVIDER_UNAVAILABLE,
            title=f"Request for more quota: {names}",
            status="REPORT",
            details=text,
            drill=context.drill,
        )
        # The step makes the key of the messages, so that a repetition sends nothing twice.
        rows = plan(notice, contacts, response, f"{_STEP}-{names}", context.now)
        self.services.outbox.add(rows)
        return [f"{row.named} by {row.channel}" for row in rows]

    def _contacts(self, parameters: SomeProviders, now: datetime) -> tuple[Any, ...]:
        configuration = self.services.configuration()
        names = [
            contact
            for name in self.targets(parameters)
            for contact in configuration.runtime.providers[name].quota_contacts
        ]
        return oncall.contacts(names, configuration.response, now)


def quota_request(
    name: str,
    settings: ProviderSettings,
    used: Sequence[MeasuredUsage],
    limits: Mapping[str, Mapping[str, float]],
) -> str:
    """The request for one provider, as plain text."""
    lines = [f"Please raise our quota at {name} ({settings.effective_base_url or settings.type})."]
    for usage in used:
        lines += _measured(usage, limits.get(usage.model, {}))
    if not used:
        lines += ["No call to it is on record in the last seven days.", *_limits({**_all(limits.values())})]
    own = {"requests": settings.requests_per_minute, "tokens": settings.tokens_per_minute}
    lines += [f"Limit on our side: {value} {what} a minute." for what, value in own.items() if value is not None]
    return "\n".join(lines)


def _measured(usage: MeasuredUsage, limits: Mapping[str, float]) -> list[str]:
    requests, tokens = usage.peak_requests, usage.peak_tokens
    average = f"average {usage.average_requests:.1f} a minute in {usage.active_minutes} minutes with requests"
    mean = f"average {usage.average_tokens:.0f} a minute"
    lines = [
        f"Model {usage.model}, measured from {_moment(usage.since)} to {_moment(usage.until)}:",
        f"- requests: {usage.requests}; {average}, peak {requests.count} at {_moment(requests.at)}",
        f"- tokens: {usage.tokens}; {mean}, peak {tokens.count} at {_moment(tokens.at)}",
        f"- refused for the limit: {usage.refused} requests, in {usage.hours_at_limit} different hours",
    ]
    if usage.at_limit_since is not None:
        lines.append(f"- at the limit without a break since {_moment(usage.at_limit_since)}")
    return lines + _limits(limits)


def _limits(limits: Mapping[str, float]) -> list[str]:
    told = [f"{name.replace('-', ' ')} {value:g}" for name, value in sorted(limits.items())]
    return [f"- limits as the provider last reported them: {', '.join(told)}"] if told else []


def _all(limits: Iterable[Mapping[str, float]]) -> dict[str, float]:
    return {name: value for one in limits for name, value in one.items()}


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"

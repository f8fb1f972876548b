"""The stages through which alerts go before the desk is told: each takes alerts and returns fewer. Pure.

The order is the literal `STAGES`. Whatever a stage decides has a reason, which is also what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from orchestration.alerts.facts import worse
from orchestration.alerts.incident_reports import group_facts
from orchestration.alerts.inhibition import Inhibition, muted
from orchestration.alerts.model import REMEDIATION, Alert
from orchestration.alerts.silences import Silence
from orchestration.incidents.report import Facts
from orchestration.storage.silences import SilenceKind


class NotifyReason(StrEnum):
    """Why an alert was told, or not."""

    NEW = "new"
    GREW = "grew"
    WORSE = "worse"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    PENDING = "pending"
    UNCHANGED = "unchanged"
    NEVER_TOLD = "never-told"
    REMEDIATION = "remediation"
    MAINTENANCE = "maintenance"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    FLAPPING = "flapping"


@dataclass(frozen=True, slots=True)
class NotifiedState:
    """What the desk was last told of a group: the identifiers of its alerts, and the worst facts so far."""

    at: datetime
    alerts: frozenset[str]
    facts: Facts


@dataclass(frozen=True, slots=True)
class StageContext:
    """What the stages know beside the alerts that they are given. `alerts` are all that fire or did so recently."""

    now: datetime
    alerts: Sequence[Alert] = ()
    silences: Sequence[Silence] = ()
    inhibitions: Sequence[Inhibition] = ()
    told: Mapping[str, NotifiedState] = field(default_factory=dict)
    repeat_seconds: float = 14_400.0

    def was_told(self, alert: Alert) -> bool:
        """Whether the desk knows of this alert."""
        told = self.told.get(alert.group)
        return told is not None and alert.id in told.alerts


@dataclass(frozen=True, slots=True)
class NotifyDecision:
    """What was decided about one alert, and by which silence or alert where one was the cause."""

    alert: str
    reason: NotifyReason
    by: str = ""


Kept = tuple[Alert, ...]
Decisions = tuple[NotifyDecision, ...]
Stage = Callable[[Kept, StageContext], tuple[Kept, Decisions]]


def _worth_telling(alerts: Kept, context: StageContext) -> tuple[Kept, Decisions]:
    """What is only pending is not told, nor the end of what was never told."""

    def reason(alert: Alert) -> NotifyReason | None:
        if alert.firing or (alert.resolved and context.was_told(alert)):
            return None
        return NotifyReason.NEVER_TOLD if alert.resolved else NotifyReason.PENDING

    return _without(alerts, reason)


def _not_our_own_doing(alerts: Kept, _context: StageContext) -> tuple[Kept, Decisions]:
    """Remediation opens no incidents about itself."""
    return _without(
        alerts, lambda alert: _firing(alert, alert.matchable.get("origin") == REMEDIATION, NotifyReason.REMEDIATION)
    )


def _outside_maintenance(alerts: Kept, context: StageContext) -> tuple[Kept, Decisions]:
    """What happens within a maintenance window is judged again when it ends."""
    return _covered(alerts, context, SilenceKind.MAINTENANCE, NotifyReason.MAINTENANCE)


def _not_silenced(alerts: Kept, context: StageContext) -> tuple[Kept, Decisions]:
    return _covered(alerts, context, SilenceKind.SILENCE, NotifyReason.SILENCED)


def _not_inhibited(alerts: Kept, context: StageContext) -> tuple[Kept, Decisions]:
    """A consequence of a known trouble is none of its own. A silenced cause still mutes what follows from it."""
    causes = muted(context.alerts, context.inhibitions, context.now)
    kept = tuple(alert for alert in alerts if alert.resolved or alert.id not in causes)
    lost = (alert for alert in alerts if alert.firing and alert.id in causes)
    return kept, tuple(NotifyDecision(alert.id, NotifyReason.INHIBITED, causes[alert.id]) for alert in lost)


def _steady(alerts: Kept, context: StageContext) -> tuple[Kept, Decisions]:
    """Of an alert that comes and goes, the desk hears once, and again only when it gets worse."""

    def reason(alert: Alert) -> NotifyReason | None:
        told = context.told.get(alert.group)
        stale = alert.flapping and told is not None and alert.id in told.alerts and not worse(alert.facts, told.facts)
        return _firing(alert, stale and not _is_due(context, told), NotifyReason.FLAPPING)

    return _without(alerts, reason)


def _grouped(alerts: Kept, _context: StageContext) -> tuple[Kept, Decisions]:
    """Alerts of one scenario and subject stand together, whatever order they came in."""
    return tuple(sorted(alerts, key=lambda alert: (alert.group, alert.since, alert.id))), ()


def _not_told_already(alerts: Kept, context: StageContext) -> tuple[Kept, Decisions]:
    """A group is told when it is new, when an alert joins it, when it gets worse, and once in a long while."""
    kept: list[Alert] = []
    decisions: list[NotifyDecision] = []
    for key, members in groupby(alerts, key=lambda alert: alert.group):
        group = tuple(members)
        firing = tuple(alert for alert in group if alert.firing)
        decisions += [NotifyDecision(alert.id, NotifyReason.RESOLVED) for alert in group if alert.resolved]
        reason = notify_reason(firing, context.told.get(key), context)
        decisions += [NotifyDecision(alert.id, reason) for alert in firing]
        kept += () if reason is NotifyReason.UNCHANGED else firing
        kept += [alert for alert in group if alert.resolved]
    return tuple(kept), tuple(decisions)


STAGES: tuple[Stage, ...] = (
    _worth_telling,
    _not_our_own_doing,
    _outside_maintenance,
    _not_silenced,
    _not_inhibited,
    _grouped,
    _steady,
    _not_told_already,
)


def run_stages(alerts: Iterable[Alert], context: StageContext) -> tuple[Kept, Decisions]:
    """All stages, one after the other: what is to be told, and a decision about each alert that was given."""
    kept, decisions = tuple(alerts), list[NotifyDecision]()
    for stage in STAGES:
        kept, made = stage(kept, context)
        decisions += made
    return kept, tuple(decisions)


def notify_reason(firing: Sequence[Alert], told: NotifiedState | None, context: StageContext) -> NotifyReason:
    """The one decision about a group: why it is told now, or that there is nothing new to tell."""
    if not firing:
        return NotifyReason.UNCHANGED
    if told is None:
        return NotifyReason.NEW
    if any(alert.id not in told.alerts for alert in firing):
        return NotifyReason.GREW
    if worse(group_facts(firing), told.facts):
        return NotifyReason.WORSE
    return NotifyReason.REPEATED if _is_due(context, told) else NotifyReason.UNCHANGED


def cleared(context: StageContext, kept: Kept) -> tuple[str, ...]:
    """The groups that are over: the desk was told, nothing that it was told of fires, and nothing new is told.

    What is muted still fires, so muting ends nothing; what has ended is cleared, muted or not.
    """
    firing = {alert.id for alert in context.alerts if alert.firing}
    going_on = {alert.group for alert in kept if alert.firing}
    return tuple(key for key, told in context.told.items() if key not in going_on and not told.alerts & firing)


def _is_due(context: StageContext, told: NotifiedState | None) -> bool:
    return told is not None and (context.now - told.at).total_seconds() >= context.repeat_seconds


def _covered(alerts: Kept, context: StageContext, kind: SilenceKind, reason: NotifyReason) -> tuple[Kept, Decisions]:
    """An end that is worth telling is told even when its beginning would be muted now."""
    causes = dict(_causes(alerts, [one for one in context.silences if one.kind is kind], context.now))
    kept = tuple(alert for alert in alerts if alert.id not in causes)
    return kept, tuple(NotifyDecision(name, reason, by) for name, by in causes.items())


def _causes(alerts: Kept, silences: Sequence[Silence], now: datetime) -> Iterator[tuple[str, str]]:
    for alert in alerts if silences else ():
        labels = alert.matchable
        cause = next((one for one in silences if alert.firing and one.covers(labels, now)), None)
        if cause is not None:
            yield alert.id, cause.id


def _firing(alert: Alert, condition: bool, reason: NotifyReason) -> NotifyReason | None:
    return reason if condition and alert.firing else None


def _without(alerts: Kept, reason: Callable[[Alert], NotifyReason | None]) -> tuple[Kept, Decisions]:
    """Drop those for which there is a reason."""
    judged = [(alert, reason(alert)) for alert in alerts]
    kept = tuple(alert for alert, why_not in judged if why_not is None)
    return kept, tuple(NotifyDecision(alert.id, why_not) for alert, why_not in judged if why_not is not None)

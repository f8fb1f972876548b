"""The stages that alerts pass before they are reported: each takes alerts and returns them or fewer. Pure.

To notify means here: to report a group of alerts to the incident service, which then decides whom to page. The order is
in the literals `MUTING` and `REPORTING`; `notify_reason` decides about a whole group. Each decision has a reason, which
is also what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """Why an alert was reported to the incident service, or not. The values are stored."""

    NEW = "new"
    GREW = "grew"
    WORSE = "worse"
    REPEATED = "repeated"
    IN_STORM = "in-storm"
    RESOLVED = "resolved"
    PENDING = "pending"
    UNCHANGED = "unchanged"
    NEVER_REPORTED = "never-told"
    REMEDIATION = "remediation"
    MAINTENANCE = "maintenance"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    FLAPPING = "flapping"


@dataclass(frozen=True, slots=True)
class NotifiedState:
    """What was last reported of a group: the ids of its alerts, and the worst facts so far.

    A storm is reported less often than it grows: `total` counts all alerts that have joined it, `told` those of the
    last report. `at` is the time of that report.
    """

    at: datetime
    alerts: frozenset[str]
    facts: Facts
    total: int = 0
    told: int = 0


@dataclass(frozen=True, slots=True)
class StageContext:
    """Data for the stages beside the alerts that they receive. `alerts` are all that fire or have fired recently."""

    now: datetime
    alerts: Sequence[Alert] = ()
    silences: Sequence[Silence] = ()
    inhibitions: Sequence[Inhibition] = ()
    notified: Mapping[str, NotifiedState] = field(default_factory=dict)
    repeat_seconds: float = 14_400.0

    def was_notified(self, alert: Alert) -> bool:
        """Whether this alert was reported."""
        reported = self.notified.get(alert.group)
        return reported is not None and alert.id in reported.alerts


@dataclass(frozen=True, slots=True)
class NotifyDecision:
    """The decision about one alert, and the id of the silence or alert that caused it, if one did."""

    alert: str
    reason: NotifyReason
    by: str = ""


RemainingAlerts = tuple[Alert, ...]
Decisions = tuple[NotifyDecision, ...]
StageResult = tuple[RemainingAlerts, Decisions]
Stage = Callable[[RemainingAlerts, StageContext], StageResult]


def _reportable(alerts: RemainingAlerts, context: StageContext) -> StageResult:
    """A pending alert is not reported, nor is the end of an alert that never was."""

    def reason(alert: Alert) -> NotifyReason | None:
        if alert.firing or (alert.resolved and context.was_notified(alert)):
            return None
        return NotifyReason.NEVER_REPORTED if alert.resolved else NotifyReason.PENDING

    return _without(alerts, reason)


def _not_from_remediation(alerts: RemainingAlerts, _context: StageContext) -> StageResult:
    """Remediation opens no incidents about itself."""
    return _without(
        alerts, lambda alert: _firing(alert, alert.matchable.get("origin") == REMEDIATION, NotifyReason.REMEDIATION)
    )


def _not_in_maintenance(alerts: RemainingAlerts, context: StageContext) -> StageResult:
    """What happens in a maintenance window is evaluated again when the window ends."""
    return _covered(alerts, context, SilenceKind.MAINTENANCE, NotifyReason.MAINTENANCE)


def _not_silenced(alerts: RemainingAlerts, context: StageContext) -> StageResult:
    return _covered(alerts, context, SilenceKind.SILENCE, NotifyReason.SILENCED)


def _not_inhibited(alerts: RemainingAlerts, context: StageContext) -> StageResult:
    """A consequence of a known alert is not reported by itself. A silenced alert still inhibits its consequences."""
    causes = muted(context.alerts, context.inhibitions, context.now)
    kept = tuple(alert for alert in alerts if alert.resolved or alert.id not in causes)
    lost = (alert for alert in alerts if alert.firing and alert.id in causes)
    return kept, tuple(NotifyDecision(alert.id, NotifyReason.INHIBITED, causes[alert.id]) for alert in lost)


def _not_flapping(alerts: RemainingAlerts, context: StageContext) -> StageResult:
    """A flapping alert is reported once, and again only if it gets worse."""

    def reason(alert: Alert) -> NotifyReason | None:
        if not alert.flapping:
            return None
        reported = context.notified.get(alert.group)
        stale = reported is not None and alert.id in reported.alerts and not worse(alert.facts, reported.facts)
        return _firing(alert, stale and not _is_due(context, reported), NotifyReason.FLAPPING)

    return _without(alerts, reason)


def _counted(alerts: RemainingAlerts, _context: StageContext) -> StageResult:
    """Agents that fail at the same time make each other's failures worse, although each has an incident of its own: how
    many of them fail is a fact about the system."""
    failing: dict[bool, set[str]] = {}
    for alert in alerts:
        if alert.firing and alert.facts.agents_failing and (agent := alert.labels.get("agent")):
            failing.setdefault(alert.drill, set()).add(agent)
    return tuple(_with_failing(alert, len(failing.get(alert.drill, ()))) for alert in alerts), ()


def _with_failing(alert: Alert, count: int) -> Alert:
    facts = alert.facts
    if not alert.firing or not facts.agents_failing or count <= facts.agents_failing:
        return alert
    return replace(alert, facts=replace(facts, agents_failing=count, agents_total=max(facts.agents_total, count)))


def _grouped(alerts: RemainingAlerts, _context: StageContext) -> StageResult:
    """Sort the alerts by group, so that the next stages find each group in one piece."""
    return tuple(sorted(alerts, key=lambda alert: (alert.group, alert.since, alert.id))), ()


def _not_reported_already(alerts: RemainingAlerts, context: StageContext) -> StageResult:
    """A group is reported when it is new, when an alert joins it, when it gets worse, and at long intervals."""
    kept: list[Alert] = []
    decisions: list[NotifyDecision] = []
    for key, members in groupby(alerts, key=lambda alert: alert.group):
        group = tuple(members)
        firing = tuple(alert for alert in group if alert.firing)
        decisions += [NotifyDecision(alert.id, NotifyReason.RESOLVED) for alert in group if alert.resolved]
        reported = context.notified.get(key)
        reason = notify_reason(firing, reported, context)
        decisions += [NotifyDecision(alert.id, _reason_for(alert, reason, reported)) for alert in firing]
        kept += () if reason in (NotifyReason.UNCHANGED, NotifyReason.IN_STORM) else firing
        kept += [alert for alert in group if alert.resolved]
    return tuple(kept), tuple(decisions)


def _reason_for(alert: Alert, reason: NotifyReason, reported: NotifiedState | None) -> NotifyReason:
    # That others join a storm says nothing about the alerts in it, thousands of which would be written again each time.
    growth = alert.storm and reason in (NotifyReason.GREW, NotifyReason.IN_STORM)
    return NotifyReason.UNCHANGED if growth and reported and alert.id in reported.alerts else reason


MUTING: tuple[Stage, ...] = (
    _reportable,
    _not_from_remediation,
    _not_in_maintenance,
    _not_silenced,
    _not_inhibited,
)
# In between, each alert that is new has been given its group: one that is muted adds nothing to a storm.
REPORTING: tuple[Stage, ...] = (
    # After the muted ones are gone: consequences of a known problem are not further failures.
    _counted,
    _grouped,
    _not_flapping,
    # Last, since it decides about whole groups: an alert that is muted must not make its group new or larger.
    _not_reported_already,
)


STAGES = MUTING + REPORTING


def run_stages(alerts: Iterable[Alert], context: StageContext, stages: Sequence[Stage] = STAGES) -> StageResult:
    """Run all stages, or some: the alerts that remain, and after all of them a decision about each alert that was
    given."""
    kept, decisions = tuple(alerts), list[NotifyDecision]()
    for stage in stages:
        kept, made = stage(kept, context)
        decisions += made
    return kept, tuple(decisions)


def notify_reason(firing: Sequence[Alert], reported: NotifiedState | None, context: StageContext) -> NotifyReason:
    """Whether a group is reported, or notified again: the reason, or that nothing has changed."""
    if not firing:
        return NotifyReason.UNCHANGED
    if reported is None:
        return NotifyReason.NEW
    joined = sum(alert.id not in reported.alerts for alert in firing)
    if joined and not firing[0].storm:
        return NotifyReason.GREW
    if worse(group_facts(firing), reported.facts):
        return NotifyReason.WORSE
    if joined or reported.total > reported.told:
        return _reason_to_tell_of_growth(reported, joined, context)
    # A repetition has no effect on an open incident. It matters where a person has resolved the incident although the
    # alert still fires: the incident service then reopens it, or opens a new one.
    return NotifyReason.REPEATED if _is_due(context, reported) else NotifyReason.UNCHANGED


def _reason_to_tell_of_growth(reported: NotifiedState, joined: int, context: StageContext) -> NotifyReason:
    """A storm is reported again once it has doubled, or after some minutes."""
    doubled = reported.total + joined >= _GROWN * reported.told
    waited = (context.now - reported.at).total_seconds() >= _GROWTH_SECONDS
    if doubled or waited:
        return NotifyReason.GREW
    return NotifyReason.IN_STORM if joined else NotifyReason.UNCHANGED


# Ten thousand alerts are told of in a dozen reports at most, and the incident's count is never far behind.
_GROWN, _GROWTH_SECONDS = 2, 300.0


def cleared_groups(context: StageContext, kept: RemainingAlerts) -> tuple[str, ...]:
    """The groups that have ended: they were reported, none of their reported alerts fires, and none is new.

    A muted alert still fires, so muting ends nothing; an alert that has ended is cleared, muted or not. A resolution
    that a silence swallowed would leave the incident open for good.
    """
    firing = {alert.id for alert in context.alerts if alert.firing}
    going_on = {alert.group for alert in kept if alert.firing}
    return tuple(
        key for key, reported in context.notified.items() if key not in going_on and not reported.alerts & firing
    )


def _is_due(context: StageContext, reported: NotifiedState | None) -> bool:
    return reported is not None and (context.now - reported.at).total_seconds() >= context.repeat_seconds


def _covered(alerts: RemainingAlerts, context: StageContext, kind: SilenceKind, reason: NotifyReason) -> StageResult:
    """Drop firing alerts that a silence covers. Resolved ones pass: their beginning was reported, so is their end."""
    causes = dict(_causes(alerts, [one for one in context.silences if one.kind is kind], context.now))
    kept = tuple(alert for alert in alerts if alert.id not in causes)
    return kept, tuple(NotifyDecision(name, reason, by) for name, by in causes.items())


def _causes(alerts: RemainingAlerts, silences: Sequence[Silence], now: datetime) -> Iterator[tuple[str, str]]:
    for alert in alerts if silences else ():
        labels = alert.matchable
        cause = next((one for one in silences if alert.firing and one.covers(labels, now)), None)
        if cause is not None:
            yield alert.id, cause.id


def _firing(alert: Alert, condition: bool, reason: NotifyReason) -> NotifyReason | None:
    return reason if condition and alert.firing else None


def _without(alerts: RemainingAlerts, reason: Callable[[Alert], NotifyReason | None]) -> StageResult:
    """Drop the alerts for which there is a reason."""
    checked = [(alert, reason(alert)) for alert in alerts]
    kept = tuple(alert for alert, drop_reason in checked if drop_reason is None)
    return kept, tuple(
        NotifyDecision(alert.id, drop_reason) for alert, drop_reason in checked if drop_reason is not None
    )

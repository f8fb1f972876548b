"""Reports groups of alerts to the incident service, and remembers what was reported.

Whether a group is reported is decided in `stages.notify_reason`; whom an incident notifies, in the incident service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.error_isolation import ErrorIsolation
from orchestration.alerts.facts import merge_facts
from orchestration.alerts.incident_reports import group_facts, report_of
from orchestration.alerts.model import Alert
from orchestration.alerts.ports import IncidentReporter
from orchestration.alerts.records import group_from_row, group_to_row
from orchestration.alerts.stages import (
    NotifiedState,
    NotifyDecision,
    NotifyReason,
    RemainingAlerts,
    StageContext,
    cleared_groups,
)
from orchestration.alerts.storm_reports import storm_report
from orchestration.alerts.storms import severity_of
from orchestration.alerts.write_buffer import redacted
from orchestration.incidents.report import TroubleReport
from orchestration.storage.alerts import Alerts

# Each opens an incident in a transaction of its own. More of them would let the next evaluation, and so a worse alert
# that has just come in, wait for long.
_REPORTS_AT_ONCE = 20
_MUTED = frozenset({NotifyReason.SILENCED, NotifyReason.MAINTENANCE})


class GroupNotifier:
    """Reports groups and stores what was reported, in this order: after a crash in between a group is reported again,
    which changes nothing at the incident service. The other order could lose a report."""

    def __init__(self, alerts: Alerts, reporter: IncidentReporter, redact: Redact, errors: ErrorIsolation) -> None:
        self.notified: dict[str, NotifiedState] = {}
        self._alerts = alerts
        self._reporter = reporter
        self._redact = redact
        self._errors = errors
        self._unsaved: set[str] = set()
        # How many groups are still to be reported.
        self.left = 0
        # As what each group was last marked: by which silence it is covered, and whether it flaps. A new process marks
        # each group once.
        self._marks: dict[str, tuple[str, bool]] = {}

    def load(self) -> None:
        """Load what was reported before. What is in memory already is newer."""
        kept = {}
        for row in self._alerts.list_groups():
            with self._errors.isolate(f"group {row.key}"):
                kept[row.key] = group_from_row(row)
        # Loading is repeated until it succeeds, and evaluations report meanwhile; the stored state must not undo what
        # they did.
        self.notified = {**kept, **self.notified}

    def remember(self, report: TroubleReport, alerts: Sequence[Alert]) -> None:
        """Take it as reported, so that the end of these alerts is reported as well."""
        if alerts and report.key not in self.notified:
            ids = frozenset(alert.id for alert in alerts)
            self.notified[report.key] = NotifiedState(report.at, ids, report.facts, len(ids), len(ids))
            self._unsaved.add(report.key)

    def report(self, kept: RemainingAlerts, context: StageContext) -> tuple[str, ...]:
        """Report each firing group. One whose report fails is reported again at the next evaluation."""
        firing = {alert.id for alert in context.alerts if alert.firing}
        keys = []
        for group in self._most_urgent(kept):
            key = group[0].group
            with self._errors.isolate(f"report {key}"):
                self._report(key, group, firing, context.now)
                keys.append(key)
        return tuple(keys)

    def _most_urgent(self, kept: RemainingAlerts) -> list[tuple[Alert, ...]]:
        """The groups to report now, the worst first. What is left is reported at the next evaluations."""
        members = groupby((alert for alert in kept if alert.firing), key=_group)
        groups = sorted((tuple(alerts) for _, alerts in members), key=_urgency)
        self.left = max(0, len(groups) - _REPORTS_AT_ONCE)
        return groups[:_REPORTS_AT_ONCE]

    def join(self, decisions: Sequence[NotifyDecision], context: StageContext) -> None:
        """Take alerts as reported that join a storm which is known, so that it lasts until they have ended."""
        names = {one.alert for one in decisions if one.reason is NotifyReason.IN_STORM}
        joined = sorted((alert for alert in context.alerts if alert.id in names), key=_group) if names else []
        firing = {alert.id for alert in context.alerts if alert.firing} if names else set()
        for key, members in groupby(joined, key=_group):
            ids, before = frozenset(alert.id for alert in members), self.notified[key]
            self.notified[key] = replace(
                before, alerts=ids | (before.alerts & firing), total=before.total + len(ids - before.alerts)
            )
            self._unsaved.add(key)

    def clear(self, kept: RemainingAlerts, context: StageContext) -> tuple[str, ...]:
        """Report the end of each group that has ended."""
        keys = []
        # As it is now: alerts may have been reported, or have joined a storm, in this evaluation.
        for key in cleared_groups(replace(context, notified=dict(self.notified)), kept):
            with self._errors.isolate(f"clear {key}"):
                # The incident service first: if it fails, the group is still remembered and is cleared at the next
                # evaluation.
                self._reporter.clear(key, context.now, observed=self._observed(key, context))
                del self.notified[key]
                self._unsaved.add(key)
                keys.append(key)
        return tuple(keys)

    def mark(self, decisions: Sequence[NotifyDecision], context: StageContext) -> None:
        """Report for each group that was reported whether all that fires of it is silenced now, and whether any of it
        comes and goes."""
        causes = {one.alert: one.by for one in decisions if one.reason in _MUTED}
        for key in [key for key in self._marks if key not in self.notified]:
            del self._marks[key]
        firing = sorted((alert for alert in context.alerts if self._is_told(alert)), key=_group)
        for key, members in groupby(firing, key=_group):
            alerts = tuple(members)
            by = [causes.get(alert.id, "") for alert in alerts]
            found = (by[0] if all(by) else "", any(alert.flapping for alert in alerts))
            if self._marks.get(key) != found:
                with self._errors.isolate(f"mark {key}"):
                    self._reporter.mark(key, silence=found[0], flapping=found[1])
                    self._marks[key] = found

    def _is_told(self, alert: Alert) -> bool:
        told = self.notified.get(alert.group)
        return alert.firing and told is not None and alert.id in told.alerts

    def _observed(self, key: str, context: StageContext) -> bool:
        """Whether each reported alert of a group was observed to be gone; one that is not known any more was not."""
        proven = {alert.id for alert in context.alerts if alert.resolved and not alert.unobserved}
        return self.notified[key].alerts <= proven

    def save(self) -> None:
        """Store the changes. If that fails, they are stored the next time."""
        rows = [group_to_row(key, self.notified[key]) for key in self._unsaved if key in self.notified]
        gone = [key for key in self._unsaved if key not in self.notified]
        if rows or gone:
            with self._errors.isolate("saving groups"):
                self._alerts.save_groups(rows, gone)
                self._unsaved.clear()

    def _report(self, key: str, group: Sequence[Alert], firing: set[str], now: datetime) -> None:
        before = self.notified.get(key)
        ids, facts, total = frozenset(alert.id for alert in group), [group_facts(group)], len(group)
        if before is not None:  # those that are muted now still fire, and their end is still to be reported
            total = before.total + len(ids - before.alerts)
            ids |= before.alerts & firing
            facts.append(before.facts)
        clean = redacted(group, self._redact)
        self._reporter.report(storm_report(clean, total, now) if group[0].storm else report_of(clean, now))
        self.notified[key] = NotifiedState(now, ids, merge_facts(facts), total, total)
        self._unsaved.add(key)


def _group(alert: Alert) -> str:
    return alert.group


def _urgency(group: Sequence[Alert]) -> tuple[int, str]:
    return min(severity_of(alert).number for alert in group), group[0].group

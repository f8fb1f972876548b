"""Telling the desk, and remembering what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.error_isolation import ErrorIsolation
from orchestration.alerts.facts import merge_facts
from orchestration.alerts.incident_reports import group_facts, report_of
from orchestration.alerts.model import Alert
from orchestration.alerts.ports import IncidentReporter
from orchestration.alerts.records import told_from_row, told_to_row
from orchestration.alerts.stages import Kept, NotifiedState, StageContext, cleared
from orchestration.alerts.write_buffer import redacted
from orchestration.storage.alerts import Alerts


class GroupNotifier:
    """What the desk knows, by group. The desk is told first and that is written afterwards: after a crash in between it
    hears the same again, which changes nothing there."""

    def __init__(self, alerts: Alerts, reporter: IncidentReporter, redact: Redact, troubles: ErrorIsolation) -> None:
        self.told: dict[str, NotifiedState] = {}
        self._alerts = alerts
        self._reporter = reporter
        self._redact = redact
        self._troubles = troubles
        self._unsaved: set[str] = set()

    def load(self) -> None:
        """Take over what the desk was told before; what is known already is newer."""
        kept = {}
        for row in self._alerts.list_groups():
            with self._troubles.contained(f"group {row.key}"):
                kept[row.key] = told_from_row(row)
        self.told = {**kept, **self.told}

    def tell(self, kept: Kept, context: StageContext) -> tuple[str, ...]:
        """Report each group that fires. One that the desk does not take is told again the next time."""
        firing = {alert.id for alert in context.alerts if alert.firing}
        done = []
        for key, members in groupby((alert for alert in kept if alert.firing), key=lambda alert: alert.group):
            with self._troubles.contained(f"report {key}"):
                self._report(key, tuple(members), firing, context.now)
                done.append(key)
        return tuple(done)

    def clear(self, kept: Kept, context: StageContext) -> tuple[str, ...]:
        """Tell of each group that is over."""
        done = []
        for key in cleared(context, kept):
            with self._troubles.contained(f"clear {key}"):
                self._reporter.clear(key, context.now)
                del self.told[key]
                self._unsaved.add(key)
                done.append(key)
        return tuple(done)

    def save(self) -> None:
        """Write what has changed. What cannot be written is written the next time."""
        rows = [told_to_row(key, self.told[key]) for key in self._unsaved if key in self.told]
        gone = [key for key in self._unsaved if key not in self.told]
        if rows or gone:
            with self._troubles.contained("saving groups"):
                self._alerts.save_groups(rows, gone)
                self._unsaved.clear()

    def _report(self, key: str, group: Sequence[Alert], firing: set[str], now: datetime) -> None:
        self._reporter.report(report_of([redacted(alert, self._redact) for alert in group], now))
        before = self.told.get(key)
        ids = frozenset(alert.id for alert in group)
        facts = [group_facts(group)]
        if before is not None:  # those of it that are muted now still fire, and their end is still to be told
            ids |= before.alerts & firing
            facts.append(before.facts)
        self.told[key] = NotifiedState(now, ids, merge_facts(facts))
        self._unsaved.add(key)

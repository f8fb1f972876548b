"""Watches the heartbeats, in the process that leads: what is late or has failed becomes an alert, until it returns.

The alerts go through the inbox, like those of other systems: they are grouped, silenced and cleared by the same rules,
and nothing here is changed for them unless the configuration allows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.heartbeats import alerts
from orchestration.alerts.heartbeats.state import HeartbeatJudgement, HeartbeatStatus, judge
from orchestration.alerts.inbound import InboundAlert
from orchestration.config.alerting import HeartbeatSettings
from orchestration.storage.alert_inbox import LEAST_URGENT, AlertInbox, InboxDelivery
from orchestration.storage.heartbeat_monitors import HeartbeatMonitorRow, HeartbeatMonitors

# Well within the shortest time after which an alert that is not repeated may be forgotten.
_REPEAT = timedelta(minutes=10)


class HeartbeatWatch:
    """Compares the heartbeats with the clock. Belongs to one thread at a time; its methods block and raise what the
    database raises. `show` gets how many are in each status."""

    def __init__(
        self,
        monitors: HeartbeatMonitors,
        inbox: AlertInbox,
        settings: Callable[[], Mapping[str, HeartbeatSettings]],
        redact: Redact,
        show: Callable[[Mapping[HeartbeatStatus, int]], None],
    ) -> None:
        self._monitors = monitors
        self._inbox = inbox
        self._settings = settings
        self._redact = redact
        self._show = show

    def check(self, now: datetime) -> None:
        """Judge each once, and report what has changed."""
        settings, rows = self._settings(), self._monitors.list()
        for name in settings.keys() - rows.keys():
            # From now on: nobody can have sent it before it was agreed.
            self._monitors.add(name, now)
        for name in rows.keys() - settings.keys():
            self._forget(rows[name], now)
        listened_until = self._monitors.listened_until() if settings else None
        counts: Counter[HeartbeatStatus] = Counter()
        for name in settings.keys() & rows.keys():
            # Without a server that listens nothing can be heard, so nothing is late.
            found = judge(rows[name], settings[name], now, listened_until or rows[name].configured_at)
            counts[found.status] += 1
            self._report(rows[name], settings[name], found, now)
        self._show(counts)

    def _report(
        self, row: HeartbeatMonitorRow, settings: HeartbeatSettings, found: HeartbeatJudgement, now: datetime
    ) -> None:
        """Into the inbox first: after a crash in between it is reported again, which changes nothing."""
        if found.status.is_down:
            if row.reported_at is None or abs(now - row.reported_at) >= _REPEAT:
                self._add(alerts.firing(row, settings, found), now)
                self._monitors.mark_down(row.name, row.down_since or now, now)
        elif row.down_since is not None:
            self._add(alerts.resolved(row.name, settings, now), now)
            self._monitors.mark_up(row.name)

    def _forget(self, row: HeartbeatMonitorRow, now: datetime) -> None:
        if row.down_since is not None:
            self._add(alerts.resolved(row.name, None, now), now)
        self._monitors.remove(row.name)

    def _add(self, alert: InboundAlert, now: datetime) -> None:
        urgency = alert.severity.number if alert.firing else LEAST_URGENT
        self._inbox.add(InboxDelivery(alerts.SOURCE, now, self._redact([alert.to_json()]), urgency=urgency))

"""The alerts that the engine knows: the latest of each fingerprint. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from datetime import datetime

from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.model import OWN, Alert, AlertObservation, AlertTiming, ConditionState, advance
from orchestration.domain.alert_status import AlertStatus
from orchestration.ids import new_id

_Key = tuple[str, str]


class ActiveAlerts:
    """Applies observations to alerts. `dropped` gathers the identifiers of pending alerts that came to nothing."""

    def __init__(self) -> None:
        self._alerts: dict[_Key, Alert] = {}
        self._before: dict[_Key, Alert] = {}
        self.dropped: set[str] = set()
        self._named: tuple[datetime | None, set[str]] = (None, set())

    def __iter__(self) -> Iterator[Alert]:
        return iter(tuple(self._alerts.values()))

    def own(self) -> list[Alert]:
        """The alerts that rules have made."""
        return [alert for alert in self if alert.source == OWN]

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Take over what was kept, oldest first. Of several that are open under one name, the newest goes on."""
        for alert in alerts:
            key = (alert.source, alert.fingerprint)
            known = self._alerts.get(key)
            newest = alert if known is None or known.since <= alert.since else known
            older = known if newest is alert else alert
            self._alerts[key] = newest
            if older is not None and is_open(older):
                self.dropped.add(older.id)

    def see(self, seen: AlertObservation, timing: AlertTiming, now: datetime) -> None:
        """Apply one look at a condition."""
        key = (seen.source, seen.fingerprint)
        before = self._alerts.get(key)
        after = advance(before, seen, timing, now, lambda: self._new_id(now))
        if after is not None:
            if before is not None and before.id != after.id:
                self._before[key] = before
            self._alerts[key] = after
        elif before is not None:
            self.dropped.add(before.id)
            self._forget(key)

    def hear(self, notice: InboundAlert, source: str, timing: AlertTiming, now: datetime) -> bool:
        """Apply a notice from outside; False for one that is late, and says nothing new.

        Senders repeat themselves, and a repetition may come after its successor: a beginning that is known to be over,
        the end of an earlier time, the end of something that never began here.
        """
        before = self._alerts.get((source, notice.fingerprint))
        if notice.firing:
            late = before is not None and before.resolved and notice.at <= before.since
        else:
            late = before is None or before.resolved or notice.at < before.since
        if not late:
            self.see(notice.observation(source), timing, now)
        return not late

    def firing(self) -> set[str]:
        """The identifiers of the alerts that fire."""
        return {alert.id for alert in self if alert.firing}

    def would_end(self, notice: InboundAlert, source: str, alerts: Container[str]) -> bool:
        """Whether a notice is the end of an alert that fires and is none of these."""
        alert = self._alerts.get((source, notice.fingerprint))
        return not notice.firing and alert is not None and alert.firing and alert.id not in alerts

    def pass_time(self, timing: AlertTiming, forget_seconds: float, now: datetime) -> None:
        """Let alerts from outside end that were said to be over while they flapped, or of which nobody speaks now."""
        for alert in self:
            if alert.source == OWN or not alert.firing:
                continue
            silent = (now - alert.seen_at).total_seconds() >= forget_seconds
            if alert.clear_since is not None or silent:
                self.see(over(alert, now), timing, now)

    def forget_old(self, ended_before: datetime, keep: frozenset[str]) -> None:
        """Forget what ended before that moment, except for the identifiers in `keep`."""
        for key, alert in tuple(self._alerts.items()):
            if alert.resolved and alert.id not in keep and (alert.ends_at or alert.updated_at) < ended_before:
                del self._alerts[key]
        self._before = {key: alert for key, alert in self._before.items() if alert.updated_at >= ended_before}

    def _new_id(self, now: datetime) -> str:
        """Thousands may begin at one moment, and the random part of an identifier is short."""
        if self._named[0] != now:
            self._named = (now, set())
        taken = self._named[1]
        name = new_id("alert", now.timestamp())
        while name in taken:
            name = new_id("alert", now.timestamp())
        taken.add(name)
        return name

    def _forget(self, key: _Key) -> None:
        """A pending alert is gone; the one before it, with its flips, is the latest again."""
        del self._alerts[key]
        if (before := self._before.pop(key, None)) is not None:
            self._alerts[key] = before


def over(alert: Alert, now: datetime) -> AlertObservation:
    """A look at an alert's condition that finds it gone."""
    return AlertObservation(
        alert.name, alert.fingerprint, ConditionState.CLEAR, alert.scenario, now, source=alert.source
    )


def is_open(alert: Alert) -> bool:
    """Whether an alert pends or fires."""
    return alert.status is not AlertStatus.RESOLVED

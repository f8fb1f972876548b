"""The alerts that the engine knows: the latest of each fingerprint. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.model import Alert, AlertObservation, AlertTiming, ConditionState, advance
from orchestration.domain.alert_status import AlertStatus
from orchestration.ids import new_id

_Key = tuple[str, str]


class ActiveAlerts:
    """Applies observations to alerts. `dropped` collects the ids of pending alerts that never fired."""

    def __init__(self) -> None:
        self._alerts: dict[_Key, Alert] = {}
        self._before: dict[_Key, Alert] = {}
        self.dropped: set[str] = set()
        self._ids_at: tuple[datetime | None, set[str]] = (None, set())

    def __iter__(self) -> Iterator[Alert]:
        # A copy, because callers apply observations to alerts while they iterate over them (`expire`, for one).
        return iter(tuple(self._alerts.values()))

    def from_rules(self) -> list[Alert]:
        """The alerts that rules have made."""
        return [alert for alert in self if not alert.external]

    def knows(self, alert: Alert) -> bool:
        """Whether this or another occurrence of the alert is known."""
        return (alert.source, alert.fingerprint) in self._alerts

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Restore stored alerts, oldest first. If several are open under one fingerprint, the newest continues."""
        for alert in alerts:
            key = (alert.source, alert.fingerprint)
            known = self._alerts.get(key)
            newest = alert if known is None or known.since <= alert.since else known
            older = known if newest is alert else alert
            self._alerts[key] = newest
            # Left open in the database, the older row would be loaded again at each start and could never be resolved,
            # since only one alert is tracked for each fingerprint.
            if older is not None and is_open(older):
                self.dropped.add(older.id)

    def apply(self, observation: AlertObservation, timing: AlertTiming, now: datetime) -> None:
        """Apply one observation of a condition."""
        key = (observation.source, observation.fingerprint)
        before = self._alerts.get(key)
        after = advance(before, observation, timing, now, lambda: self._new_id(now))
        if after is not None:
            # A pending alert may still be dropped. Without the occurrence before it, the flips would be lost with it,
            # and an alert that comes and goes would never be recognised as flapping.
            if before is not None and before.id != after.id:
                self._before[key] = before
            self._alerts[key] = after
        elif before is not None:
            self.dropped.add(before.id)
            self._drop(key)

    def apply_inbound(
        self, inbound: InboundAlert, source: str, timing: AlertTiming, now: datetime, number: int = 0
    ) -> None:
        """Apply an inbound alert of the delivery with this number, in the order of receipt. The end of an alert that
        does not fire here changes nothing.

        The times in it decide nothing: a sender's clock may be wrong, and a sender that was halted for a moment reports
        the same occurrence again after its end.
        """
        key = (source, inbound.fingerprint)
        before = self._alerts.get(key)
        if before is not None and before.ahead:
            if number < before.ahead:
                return
            self._alerts[key] = replace(before, ahead=0)
        self.apply(inbound.observation(source), timing, now)

    def apply_ahead(self, inbound: InboundAlert, source: str, timing: AlertTiming, now: datetime, number: int) -> None:
        """Apply an alert of a delivery before its turn; what is older, and still waits, changes it no more.

        Numbers are compared only until that delivery has its turn: they begin again once the inbox was empty.
        """
        key = (source, inbound.fingerprint)
        before = self._alerts.get(key)
        if before is None or before.ahead <= number:
            self.apply(inbound.observation(source), timing, now)
            self._alerts[key] = replace(self._alerts[key], ahead=number)

    def update(self, alerts: Iterable[Alert]) -> None:
        """Replace alerts by what has become of them."""
        self._alerts |= {(alert.source, alert.fingerprint): alert for alert in alerts}

    def firing(self) -> set[str]:
        """The ids of the firing alerts."""
        return {alert.id for alert in self if alert.firing}

    def would_end(self, inbound: InboundAlert, source: str, alerts: Container[str]) -> bool:
        """Whether an inbound alert ends a firing alert other than these."""
        alert = self._alerts.get((source, inbound.fingerprint))
        return not inbound.firing and alert is not None and alert.firing and alert.id not in alerts

    def expire(self, timing: AlertTiming, forget_seconds: float, now: datetime) -> None:
        """Resolve inbound alerts that ended while they flapped, and those that no sender has repeated for too long."""
        for alert in self:
            # The rules observe our own alerts at every evaluation, so these end by observation. Only a sender can fall
            # silent.
            if not alert.external or not alert.firing:
                continue
            unrepeated = _is_unrepeated(alert, forget_seconds, now)
            if alert.clear_since is not None or unrepeated:
                # A sender that has fallen silent has not said that the condition is gone.
                observation = replace(cleared_observation(alert, now), unobserved=alert.clear_since is None)
                self.apply(observation, timing, now)

    def prune(self, ended_before: datetime, keep: frozenset[str]) -> None:
        """Drop alerts that were resolved before a time, except for the ids in `keep`."""
        for key, alert in tuple(self._alerts.items()):
            if alert.resolved and alert.id not in keep and (alert.ends_at or alert.updated_at) < ended_before:
                del self._alerts[key]
        self._before = {key: alert for key, alert in self._before.items() if alert.updated_at >= ended_before}

    def _new_id(self, now: datetime) -> str:
        # Thousands of alerts may begin at the same moment, and the random part of an id is short enough to collide.
        if self._ids_at[0] != now:
            self._ids_at = (now, set())
        taken = self._ids_at[1]
        name = new_id("alert", now.timestamp())
        while name in taken:
            name = new_id("alert", now.timestamp())
        taken.add(name)
        return name

    def _drop(self, key: _Key) -> None:
        """Drop a pending alert; the one before it, with its flips, is the latest again."""
        del self._alerts[key]
        if (before := self._before.pop(key, None)) is not None:
            self._alerts[key] = before


def _is_unrepeated(alert: Alert, forget_seconds: float, now: datetime) -> bool:
    if alert.expires is not None:
        return now >= alert.expires
    return (now - alert.seen_at).total_seconds() >= forget_seconds


def cleared_observation(alert: Alert, now: datetime) -> AlertObservation:
    """An observation that an alert's condition is gone."""
    return AlertObservation(
        alert.name, alert.fingerprint, ConditionState.CLEAR, alert.scenario, now, source=alert.source
    )


def is_open(alert: Alert) -> bool:
    """Whether an alert is pending or firing."""
    return alert.status is not AlertStatus.RESOLVED

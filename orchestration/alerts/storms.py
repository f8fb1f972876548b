"""Storms: beyond a number of incidents, further alerts of one group of a sender have one incident in common. Pure.

Ten thousand hosts behind a switch that has failed are one problem. Told one by one, they hide each other and everything
else. So no more than a few things of a group get an incident of their own within a window; what is worse comes first,
and lesser alerts never use up its places. A sender whose groups hold one alert each is limited as a whole as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import groupby

from orchestration.alerts.model import Alert
from orchestration.config.alerting import StormSettings
from orchestration.domain.severity import Severity
from orchestration.incidents.severity import assess
from orchestration.storage.incidents.table import STORM_PREFIX

# A few facts belong to thousands of alerts.
_assess = lru_cache(maxsize=1024)(assess)
# What would become one incident, with its severity.
_Candidates = dict[str, Severity]


def severity_of(alert: Alert) -> Severity:
    """The severity that an incident about this alert alone would have."""
    return _assess(alert.scenario, alert.facts)[0]


def grouped(
    audible: Iterable[Alert], alerts: Iterable[Alert], settings: StormSettings, now: datetime
) -> dict[str, Alert]:
    """The alerts of other systems that are to be reported for the first time, by their ids: each with the group that it
    keeps, that of a storm or of what it is about.

    `audible` are those that nothing mutes, `alerts` are all that are known. Alerts of our own rules join no storm:
    there are few, and each names a cause of its own.
    """
    news = [alert for alert in audible if alert.external and alert.firing and alert.grouped_at is None]
    if not news:
        return {}
    begin = now - timedelta(seconds=settings.window)
    earlier = [alert for alert in alerts if alert.external and alert.grouped_at is not None]
    joined: dict[str, str] = {}
    for sender, members in groupby(sorted(news, key=_sender), key=_sender):
        same = [alert for alert in earlier if _sender(alert) == sender]
        firing = {alert.group for alert in same if alert.firing}
        recent = [alert for alert in same if alert.grouped_at and alert.grouped_at > begin]
        joined |= _Sender(firing, recent, settings).joined(list(members))
    return {alert.id: replace(alert, storm=joined.get(alert.id, ""), grouped_at=now) for alert in news}


@dataclass(frozen=True, slots=True)
class _Sender:
    """What one sender has sent before: the groups that fire, and the alerts that were reported within the window."""

    firing: set[str]
    recent: list[Alert]
    settings: StormSettings

    def joined(self, news: list[Alert]) -> dict[str, str]:
        """The storms that new alerts join: the key of the storm by the id of the alert."""
        # An alert about something that has an incident makes no further one.
        have = self.firing | {alert.group for alert in self.recent}
        proposed = {alert.id: alert.own_group for alert in news if alert.own_group in have}
        others = sorted((alert for alert in news if alert.id not in proposed), key=_group_of)
        for group, members in groupby(others, key=_group_of):
            proposed |= self._within_group(group, list(members))
        return self._within_sender({alert.id: alert for alert in news}, proposed, have)

    def _within_group(self, group: str, news: list[Alert]) -> dict[str, str]:
        """The keys of the incidents to be, when only this group of the sender counts."""
        earlier = _worst((alert.own_group, alert) for alert in self.recent if alert.sender_group == group)
        over = _over(_worst((alert.own_group, alert) for alert in news), earlier, self.settings.incidents)
        return {alert.id: _storm(alert, group) if alert.own_group in over else alert.own_group for alert in news}

    def _within_sender(self, news: Mapping[str, Alert], proposed: Mapping[str, str], have: set[str]) -> dict[str, str]:
        """The storms that are joined when all that the sender has sent counts as well."""
        whole = _storm(next(iter(news.values())), "")
        earlier = _worst((alert.own_group if alert.group == whole else alert.group, alert) for alert in self.recent)
        fresh = _worst((key, news[name]) for name, key in proposed.items() if key not in have and key != whole)
        over = _over(fresh, earlier, self.settings.incidents_of_sender)
        final = {name: whole if key in over else key for name, key in proposed.items()}
        return {name: key for name, key in final.items() if key != news[name].own_group}


def _over(news: _Candidates, earlier: _Candidates, limit: int) -> frozenset[str]:
    """Those of the news that get no incident of their own.

    All of one severity share their fate: of a thousand, a random few would tell no more than the one about all.
    """
    severities = [severity.number for severity in {**earlier, **news}.values()]
    full = [each for each in set(news.values()) if sum(one <= each.number for one in severities) > limit]
    return frozenset(key for key, severity in news.items() if severity in full)


def _worst(pairs: Iterable[tuple[str, Alert]]) -> _Candidates:
    found: _Candidates = {}
    for key, alert in pairs:
        severity = severity_of(alert)
        if key not in found or severity.worse_than(found[key]):
            found[key] = severity
    return found


def _sender(alert: Alert) -> tuple[str, str, bool]:
    # A drill never joins a storm of real alerts, nor does one that is answered by another playbook.
    return alert.source, alert.scenario.value, alert.drill


def _group_of(alert: Alert) -> str:
    return alert.sender_group


def _storm(alert: Alert, group: str) -> str:
    """The key of the storm of a sender's group; of the sender, if it is empty."""
    digest = f":{sha256(group.encode('utf-8', 'replace')).hexdigest()[:16]}" if group else ""
    return f"{'drill:' if alert.drill else ''}{STORM_PREFIX}{alert.scenario}:{alert.source}{digest}"

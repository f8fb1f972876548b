"""Echoes: alerts that say what this system has said itself, and that come back through another one. Pure.

Our incidents leave as alerts, pages and webhooks, and our metrics make Prometheus fire. Where those systems send their
alerts here, an incident would be about an incident, and keep itself open for ever.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from orchestration.alerts.inbound import InboundAlert
from orchestration.domain.origin import DOUBLES_LABEL, ORIGIN, ORIGIN_LABEL

# Where senders keep the incident of a notice of ours: our Alertmanager channel's label, the detail of our PagerDuty
# channel, the subject of our webhook.
_PLACES = ("incident", "subject")
_INCIDENT = re.compile(r"inc-[0-9a-z]{8,32}")


def is_echo(alert: InboundAlert, own: Collection[str]) -> bool:
    """Whether an alert repeats what this installation knows. `own` are the incidents of this installation; those of
    another are news."""
    if alert.labels.get(ORIGIN_LABEL) == ORIGIN and alert.labels.get(DOUBLES_LABEL):
        return True
    return any(incident in own for incident in _incidents(alert))


def named_incidents(alerts: Iterable[InboundAlert]) -> set[str]:
    """The incidents, of whatever installation, that alerts are about."""
    return set[str]().union(*map(_incidents, alerts))


def _incidents(alert: InboundAlert) -> Iterator[str]:
    """The incidents that the alert is about. A text that only mentions one does not count: it may be an answer."""
    for source in (alert.labels, alert.details):
        for place in _PLACES:
            if (text := source.get(place)) is not None and _INCIDENT.fullmatch(text):
                yield text

"""Publishes what changed in an evaluation: an event for each alert that began or ended, and one for each storm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestration.alerts.model import Alert
from orchestration.alerts.stages import NotifyDecision
from orchestration.events import EventBus
from orchestration.events.alerts import AlertFired, AlertResolved, StormChanged


def publish_changes(
    bus: EventBus, before: set[str], alerts: Sequence[Alert], decisions: Mapping[str, NotifyDecision]
) -> None:
    """Publish how the alerts differ from those that fired before, which are given by their ids."""
    changed = [alert for alert in alerts if alert.firing != (alert.id in before)]
    for alert in changed:
        if not alert.storm and (alert.firing or alert.resolved):
            _publish(bus, alert, decisions[alert.id])
    # Thousands at once: one by one, they would fill the log and the timeline, and nobody would read them.
    for storm in dict.fromkeys(alert.storm for alert in changed if alert.storm):
        joined = [alert for alert in changed if alert.storm == storm]
        began = sum(alert.firing for alert in joined)
        firing = sum(alert.firing for alert in alerts if alert.storm == storm)
        bus.publish(StormChanged(storm, joined[0].source, began, len(joined) - began, firing, joined[0].drill))


def _publish(bus: EventBus, alert: Alert, decision: NotifyDecision) -> None:
    kind = AlertFired if alert.firing else AlertResolved
    payload = kind(
        alert=alert.id,
        name=alert.name,
        group=alert.group,
        decision=decision.reason.value,
        message=alert.title,
        drill=alert.drill,
    )
    run_id, agent = (alert.matchable.get(label) or None for label in ("run", "agent"))
    bus.publish(payload, run_id=run_id, agent=agent)

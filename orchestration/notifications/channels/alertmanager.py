"""Prometheus Alertmanager: our incidents as its alerts, by `POST /api/v2/alerts`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from orchestration.domain.origin import ORIGIN, ORIGIN_LABEL
from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster
from orchestration.notifications.notice import Notice, NoticeKind

# Without an end, Alertmanager resolves an alert after `resolve_timeout`, five minutes by default, unless it is sent
# again and again. We send only changes, so a firing alert gets an end that is far away.
_FIRING = timedelta(days=7)
_TEST = timedelta(minutes=1)


class AlertmanagerChannel:
    """Posts incidents to one Alertmanager; `secretEnv` is its bearer token where it asks for one."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)

    async def send(self, message: ChannelMessage) -> None:
        """Post the incident's alerts. Raises DeliveryError."""
        headers = {}
        if self._context.settings.secret_env is not None:
            headers["authorization"] = f"Bearer {self._context.secret('secretEnv')}"
        url = self._context.url().rstrip("/") + "/api/v2/alerts"
        await self._poster.post_json(url, alerts(message, self._context.clock.wall()), headers)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def alerts(message: ChannelMessage, now: datetime) -> list[dict[str, Any]]:
    """One alert for each severity: that of the incident fires, the others are resolved.

    The severity has to be a label, since Alertmanager routes by labels; but the labels are also the alert's identity.
    An incident whose severity changes is therefore another alert, and the alert before it has to be ended.
    """
    notice = message.notice
    if notice.kind is NoticeKind.TEST:
        return [_alert(message, notice.severity, now, now + _TEST)]
    present = None if notice.kind.closes else notice.severity
    return [_alert(message, each, now, now + _FIRING if each is present else now) for each in Severity]


def _alert(message: ChannelMessage, severity: Severity, now: datetime, ends_at: datetime) -> dict[str, Any]:
    notice = message.notice
    annotations = {"summary": message.subject, "description": message.body}
    alert: dict[str, Any] = {
        "labels": _labels(notice, severity),
        "annotations": annotations,
        # Never after now: Alertmanager refuses an alert that ends before it starts, and the resolved ones end now.
        "startsAt": min(notice.started_at or notice.detected_at or message.created_at, now).isoformat(),
        "endsAt": ends_at.isoformat(),
    }
    return {**alert, "generatorURL": notice.url} if notice.url else alert


def _labels(notice: Notice, severity: Severity) -> dict[str, str]:
    """The alert's labels. By `origin` our own intake recognises alerts that come back to it."""
    return {
        "alertname": "OrchestratorTest" if notice.kind is NoticeKind.TEST else "OrchestratorIncident",
        "incident": notice.incident_id,
        "severity": severity.value,
        "scenario": notice.scenario.value,
        ORIGIN_LABEL: ORIGIN,
        **({"drill": "true"} if notice.drill else {}),
    }

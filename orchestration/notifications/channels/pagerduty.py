"""PagerDuty, by its Events API v2: https://developer.pagerduty.com/docs/events-api-v2/overview/.

One incident of ours is one alert of theirs, with the incident's id as the dedup key.
"""

from __future__ import annotations

from typing import Any

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster
from orchestration.notifications.channels.text_limits import shorten
from orchestration.notifications.notice import NoticeKind

ADDRESS = "https://events.pagerduty.com"
# The Events API knows these four and no others: https://developer.pagerduty.com/docs/send-alert-event.
_SEVERITIES = {Severity.P0: "critical", Severity.P1: "error", Severity.P2: "warning", Severity.P3: "info"}
_ACTIONS = {
    NoticeKind.ACKNOWLEDGED: "acknowledge",
    NoticeKind.RESOLVED: "resolve",
    NoticeKind.CANCELLED: "resolve",
    NoticeKind.MERGED: "resolve",
}
# These get an alert of their own, with severity info: a trigger with the incident's dedup key after its end would open
# a new alert, and wake somebody.
_SEPARATE = (NoticeKind.REMINDER, NoticeKind.TEST)
# Longer values are rejected with 400, so they are cut. Of the dedup key the end is kept, where the unique part is.
_MAX_SUMMARY, _MAX_DEDUP_KEY = 1024, 255
# Of the 512 kB that a whole event may have: a character takes six bytes at most as JSON.
_MAX_TEXT = 60_000


class PagerDutyChannel:
    """Triggers, acknowledges and resolves alerts of one PagerDuty service."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)

    async def send(self, message: ChannelMessage) -> None:
        """Send one event; a test is resolved at once, so that it pages nobody for long. Raises DeliveryError."""
        url = (self._context.settings.url or ADDRESS).rstrip("/") + "/v2/enqueue"
        data = event(message, self._context.secret("routingKeyEnv"))
        await self._poster.post_json(url, data)
        # With the same dedup key, by which PagerDuty finds the alert that was triggered just before.
        if message.notice.kind is NoticeKind.TEST:
            await self._poster.post_json(url, {**data, "event_action": "resolve"})

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def event(message: ChannelMessage, routing_key: str) -> dict[str, Any]:
    """The message as an event, within the limits on its fields and on the whole."""
    notice = message.notice
    separate = notice.kind in _SEPARATE
    dedup_key = f"{notice.incident_id}/{notice.kind.value}" if separate else notice.incident_id
    payload = {
        "summary": shorten(message.subject, _MAX_SUMMARY),
        "source": "agent-orchestration",
        "severity": "info" if separate else _SEVERITIES[notice.severity],
        "timestamp": message.created_at.isoformat(),
        "component": notice.scenario.value,
        "class": "drill" if notice.drill else notice.kind.value,
        "custom_details": {
            "contact": message.contact,
            "text": shorten(message.body, _MAX_TEXT),
            "incident": notice.incident_id,
        },
    }
    return {
        "routing_key": routing_key,
        "event_action": _ACTIONS.get(notice.kind, "trigger"),
        "dedup_key": dedup_key[-_MAX_DEDUP_KEY:],
        "payload": payload,
        "client": "orchestrator",
        "links": [{"href": notice.url, "text": notice.incident_id}] if notice.url else [],
    }

"""The webhook for a user's own service: a signed CloudEvent.

| header | value |
| --- | --- |
| `Orchestrator-Id` | the message's key, the same each time it is sent; process each key once |
| `Orchestrator-Timestamp` | Unix seconds of the time of sending; reject messages older than five minutes |
| `Orchestrator-Signature` | `sha256=` and the hexadecimal HMAC-SHA256 of `timestamp.body`, with `secretEnv` |
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster, encode

EVENT_TYPE = "orchestration.notification"
SOURCE = "/orchestrator/notifications"


class WebhookChannel:
    """Posts messages to a URL of the user's."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)

    async def send(self, message: ChannelMessage) -> None:
        """Post one message; any 2xx means that it was accepted. Raises DeliveryError."""
        body = encode(cloud_event(message))
        # The time of sending, not of the message: to its receiver, a message that waited for hours would look like a
        # replay.
        stamp = str(int(self._context.clock.wall().timestamp()))
        headers = {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "orchestrator-id": message.key,
            "orchestrator-timestamp": stamp,
        }
        if self._context.settings.secret_env is not None:
            headers["orchestrator-signature"] = signature(self._context.secret("secretEnv"), stamp, body)
        await self._poster.post(self._context.url(), body, headers)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def signature(key: str, timestamp: str, body: bytes) -> str:
    """The value of `Orchestrator-Signature`; receivers compute it the same way and compare in constant time."""
    digest = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"sha256={digest}"


def cloud_event(message: ChannelMessage) -> dict[str, Any]:
    """The message as a CloudEvent 1.0. By its specification, source and id together identify duplicates."""
    return {
        "specversion": "1.0",
        "id": message.key,
        "source": SOURCE,
        "type": f"{EVENT_TYPE}.{message.notice.kind.value}",
        "subject": message.notice.incident_id,
        "time": message.created_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {
            "contact": message.contact,
            "subject": message.subject,
            "body": message.body,
            "notice": message.notice.as_json(),
            "links": [link.as_json() for link in message.links],
        },
    }

"""Microsoft Teams, by a workflow ("When a Teams webhook request is received") that posts an Adaptive Card."""

from __future__ import annotations

from typing import Any

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster

# Teams rejects a message of more than 28 kB. A character takes up to four bytes, and each line about seventy more.
_MAX_SUBJECT, _MAX_BODY, _MAX_LINES = 300, 4_000, 100
_COLOURS = {Severity.P0: "attention", Severity.P1: "attention", Severity.P2: "warning", Severity.P3: "default"}


class TeamsChannel:
    """Posts messages to one Teams channel."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)

    async def send(self, message: ChannelMessage) -> None:
        """Post one message. Raises DeliveryError."""
        await self._poster.post_json(self._context.url(), card_message(message))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def card_message(message: ChannelMessage) -> dict[str, Any]:
    """The message as an Adaptive Card.

    The texts are text runs rather than text blocks: Teams renders Markdown in the latter, and an alert's title could
    place a link in the card.
    """
    colour = "good" if message.notice.kind.closes else _COLOURS[message.notice.severity]
    subject = _line(message.subject[:_MAX_SUBJECT], weight="bolder", size="medium", color=colour)
    lines = [_line(line or " ") for line in message.body[:_MAX_BODY].splitlines()[:_MAX_LINES]]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [subject, *lines],
        # A text run is never a link, so the incident's URL becomes a button.
        "actions": [{"type": "Action.OpenUrl", "title": "Open it", "url": url}] if (url := message.notice.url) else [],
        "msteams": {"width": "Full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "spacing": "none", "inlines": [{"type": "TextRun", "text": text, **style}]}

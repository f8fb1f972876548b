"""Microsoft Teams, by a workflow ("When a Teams webhook request is received") that posts an Adaptive Card."""

from __future__ import annotations

from typing import Any

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster

# Teams refuses a message of more than 28 kB; a character takes up to four bytes, and a line some seventy more.
_LONGEST_SUBJECT, _LONGEST_BODY, _MOST_LINES = 300, 4_000, 100
_COLOURS = {Severity.P0: "attention", Severity.P1: "attention", Severity.P2: "warning", Severity.P3: "default"}


class TeamsChannel:
    """Posts messages to one Teams channel."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings.timeout)

    async def send(self, message: ChannelMessage) -> None:
        """Post one message. Raises DeliveryError."""
        await self._poster.post_json(self._context.url(), card_message(message))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def card_message(message: ChannelMessage) -> dict[str, Any]:
    """The message as an Adaptive Card. Its texts are runs, in which Markdown means nothing: a title makes no link."""
    colour = "good" if message.notice.kind.closes else _COLOURS[message.notice.severity]
    subject = _line(message.subject[:_LONGEST_SUBJECT], weight="bolder", size="medium", color=colour)
    lines = [_line(line or " ") for line in message.body[:_LONGEST_BODY].splitlines()[:_MOST_LINES]]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [subject, *lines],
        # A run of text is no link, not even one that is an address.
        "actions": [{"type": "Action.OpenUrl", "title": "Open it", "url": url}] if (url := message.notice.url) else [],
        "msteams": {"width": "Full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(text: str, **look: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "spacing": "none", "inlines": [{"type": "TextRun", "text": text, **look}]}

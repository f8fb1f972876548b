"""Microsoft Teams, by a workflow ("When a Teams webhook request is received") that posts an Adaptive Card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster, encode
from orchestration.notifications.channels.text_limits import shorten

# https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using: 28 kB
# for a message that is posted by a webhook. The subject and the URL have the room that is left by the rest of a card.
LIMIT, _MAX_SUBJECT, _MAX_URL = 28_000, 300, 4_000
_STYLES = {Severity.P0: "attention", Severity.P1: "attention", Severity.P2: "warning", Severity.P3: "accent"}


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
    """The message as an Adaptive Card, with as many of its lines as Teams accepts.

    The texts are text runs rather than text blocks: Teams renders Markdown in the latter, and an alert's title could
    place a link in the card.
    """
    notice = message.notice
    style = "good" if notice.kind.closes else _STYLES[notice.severity]
    subject = _line(shorten(message.subject, _MAX_SUBJECT), weight="bolder", size="medium", color=style)
    title = {"type": "Container", "style": style, "bleed": True, "items": [subject]}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title],
        # A text run is never a link, so the URLs become buttons.
        "actions": [{"type": "Action.OpenUrl", "title": name, "url": url} for name, url in _buttons(message)],
        "msteams": {"width": "Full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    whole = {"type": "message", "attachments": [attachment]}
    card["body"] = [title, *_lines(message.plain_body, LIMIT - len(encode(whole)))]
    return whole


def _buttons(message: ChannelMessage) -> list[tuple[str, str]]:
    page = [("Open the incident", message.notice.url)] if 0 < len(message.notice.url) <= _MAX_URL else []
    return [*((link.verb.label, link.url) for link in message.links), *page]


def _lines(body: str, room: int) -> Iterator[dict[str, Any]]:
    """The lines of a text, as far as there are so many bytes for them; the last one may be cut."""
    for text in body.splitlines():
        line = _line(text or " ")
        cost = len(encode(line)) + 1  # and the comma before it
        if cost > room:
            rest = room - (len(encode(_line(""))) + 1)
            if cut := shorten(text, rest, _json_bytes) if text else "":
                yield _line(cut)
            return
        room -= cost
        yield line


def _json_bytes(text: str) -> int:
    return len(encode(text)) - 2  # without the quotation marks


def _line(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "spacing": "none", "inlines": [{"type": "TextRun", "text": text, **style}]}

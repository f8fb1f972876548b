"""Slack, by an incoming webhook. It is one-way: nobody can acknowledge from there."""

from __future__ import annotations

from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster

# Slack cuts a text at 40,000 characters; escaping makes at most five of one.
_LONGEST_TEXT = 8_000


class SlackChannel:
    """Posts messages to one Slack channel."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings.timeout)

    async def send(self, message: ChannelMessage) -> None:
        """Post one message. Raises DeliveryError."""
        data = {"text": escape(message.text[:_LONGEST_TEXT]), "mrkdwn": False, "unfurl_links": False}
        await self._poster.post_json(self._context.url(), data)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def escape(text: str) -> str:
    """Text in which nothing is a mention or a link: Slack gives a meaning to these three characters alone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

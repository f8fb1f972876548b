"""Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

It is one-way: nobody can acknowledge an incident from there. The URL itself is the secret.
"""

from __future__ import annotations

from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster

# Slack truncates a text at 40,000 characters, and escaping turns one character into five at most.
_MAX_TEXT = 8_000


class SlackChannel:
    """Posts messages to one Slack channel."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)

    async def send(self, message: ChannelMessage) -> None:
        """Post one message. Raises DeliveryError."""
        # Otherwise Slack reads asterisks, underscores and backticks as formatting, and names of variables
        # and files are full of underscores: https://docs.slack.dev/messaging/formatting-message-text.
        data = {"text": escape(message.text[:_MAX_TEXT]), "mrkdwn": False, "unfurl_links": False}
        await self._poster.post_json(self._context.url(), data)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def escape(text: str) -> str:
    """Text without mentions or links, so that an alert's text cannot page a whole workspace by `<!channel>`.

    These three characters are all that Slack's markup reserves.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

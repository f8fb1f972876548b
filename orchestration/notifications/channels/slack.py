"""Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

It is one-way: a message that was posted can be neither changed nor answered in its thread, for which the kind
`slack-bot` is there. The URL itself is the secret.
"""

from __future__ import annotations

from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.http import HttpPoster
from orchestration.notifications.channels.slack_blocks import slack_message


class SlackChannel:
    """Posts messages to one Slack channel."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)

    async def send(self, message: ChannelMessage) -> None:
        """Post one message. Raises DeliveryError."""
        await self._poster.post_json(self._context.url(), slack_message(message))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()

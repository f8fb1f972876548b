"""Slack, by an incoming webhook. It is one-way: nobody can acknowledge from there."""

from __future__ import annotations

from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.response import ChannelSettings
from orchestration.notifications.channels.channel import ChannelMessage, address_of
from orchestration.notifications.channels.http import HttpPoster

# Slack cuts a text at 40,000 characters; escaping makes at most five of one.
_LONGEST_TEXT = 8_000


class SlackChannel:
    """Posts messages to one Slack channel."""

    def __init__(self, settings: ChannelSettings, credentials: CredentialSource, clock: Clock) -> None:
        self._settings = settings
        self._credentials = credentials
        self._poster = HttpPoster(clock, settings.timeout)

    async def send(self, message: ChannelMessage) -> None:
        """Post one message. Raises DeliveryError."""
        data = {"text": escape(message.text[:_LONGEST_TEXT]), "mrkdwn": False, "unfurl_links": False}
        await self._poster.post_json(address_of(self._settings, self._credentials), data)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()


def escape(text: str) -> str:
    """Text in which nothing is a mention or a link: Slack gives a meaning to these three characters alone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""All channels of the configuration, ready to send on; made when first used, and anew when their settings change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import anyio

from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.response import ChannelSettings, ResponseSettings
from orchestration.domain.channel_kind import ChannelKind
from orchestration.notifications.channels.alertmanager import AlertmanagerChannel
from orchestration.notifications.channels.apprise import AppriseChannel
from orchestration.notifications.channels.channel import Channel, ChannelMessage, DeliveryError
from orchestration.notifications.channels.local import ConsoleChannel, LogChannel
from orchestration.notifications.channels.pagerduty import PagerDutyChannel
from orchestration.notifications.channels.slack import SlackChannel
from orchestration.notifications.channels.teams import TeamsChannel
from orchestration.notifications.channels.webhook import WebhookChannel

# Messages a second where the file does not say; Slack allows about one.
_RATES = {ChannelKind.SLACK: 1.0, ChannelKind.TEAMS: 1.0, ChannelKind.PAGERDUTY: 2.0, ChannelKind.EMAIL: 5.0}


class ChannelRegistry:
    """Sends messages on channels by their names. Use as an asynchronous context manager."""

    def __init__(self, settings: Callable[[], ResponseSettings], credentials: CredentialSource, clock: Clock) -> None:
        """`settings` gives the configuration in force at each moment; so do the credentials."""
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._made: dict[str, tuple[ChannelSettings, Channel]] = {}
        # Still sending, perhaps; settings change rarely enough to keep them until the end.
        self._retired: list[Channel] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for channel in (*self._retired, *(channel for _, channel in self._made.values())):
            await channel.aclose()
        self._retired.clear()
        self._made.clear()

    @property
    def response(self) -> ResponseSettings:
        """The configuration in force."""
        return self._settings()

    def seconds(self, name: str) -> float:
        """How long a try on a channel may take."""
        settings = self.response.channel(name)
        return 1.0 if settings is None else settings.timeout

    def per_second(self, name: str) -> float | None:
        """How many messages a channel takes a second; None for any number."""
        settings = self.response.channel(name)
        return None if settings is None else settings.per_second or _RATES.get(settings.type)

    async def send(self, name: str, message: ChannelMessage) -> None:
        """Send a message, within the channel's time limit. Raises DeliveryError."""
        settings = self.response.channel(name)
        if settings is None or not settings.enabled:
            raise DeliveryError(f'there is no channel "{name}" in use any more', permanent=True)
        channel = self._channel(name, settings)
        try:
            with anyio.fail_after(settings.timeout):
                await channel.send(message)
        except TimeoutError as error:
            raise DeliveryError(f"{name} did not take it within {settings.timeout:g} s", permanent=False) from error

    def _channel(self, name: str, settings: ChannelSettings) -> Channel:
        known = self._made.get(name)
        if known is not None and known[0] == settings:
            return known[1]
        channel = make(settings, self._credentials, self._clock)
        self._made[name] = (settings, channel)
        if known is not None:
            self._retired.append(known[1])
        return channel


def make(settings: ChannelSettings, credentials: CredentialSource, clock: Clock) -> Channel:
    """The channel of that kind."""
    match settings.type:
        case ChannelKind.LOG:
            return LogChannel()
        case ChannelKind.CONSOLE:
            return ConsoleChannel()
        case ChannelKind.EMAIL:
            from orchestration.notifications.channels.email import EmailChannel

            return EmailChannel(settings, credentials)
        case ChannelKind.WEBHOOK:
            return WebhookChannel(settings, credentials, clock)
        case ChannelKind.SLACK:
            return SlackChannel(settings, credentials, clock)
        case ChannelKind.TEAMS:
            return TeamsChannel(settings, credentials, clock)
        case ChannelKind.PAGERDUTY:
            return PagerDutyChannel(settings, credentials, clock)
        case ChannelKind.ALERTMANAGER:
            return AlertmanagerChannel(settings, credentials, clock)
        case ChannelKind.APPRISE:
            return AppriseChannel(settings, credentials)

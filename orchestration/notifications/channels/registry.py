"""The channels of the configuration, made when they are first used, and again when their settings change."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Self

import anyio

from orchestration.clock import Clock
from orchestration.config.channels.kinds import find_channel_kind
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.credentials import CredentialSource
from orchestration.config.response import ResponseSettings
from orchestration.notifications.channels.channel import Channel, ChannelContext, ChannelMessage, DeliveryError
from orchestration.notifications.web_push import WebPushAccess


class ChannelRegistry:
    """Sends messages on channels by their names. Use as an asynchronous context manager."""

    def __init__(
        self,
        settings: Callable[[], ResponseSettings],
        credentials: CredentialSource,
        clock: Clock,
        web_push: WebPushAccess | None = None,
    ) -> None:
        """`settings` returns the configuration in force; the credentials, too, are read at each message. Without
        `web_push` no push message can be sent."""
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._web_push = web_push
        self._made: dict[str, tuple[ChannelSettings, Channel]] = {}
        # A replaced channel may still be sending. Settings change rarely enough to keep them open until the end.
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

    def timeout(self, name: str) -> float:
        """The time limit of one attempt on a channel, in seconds."""
        settings = self.response.channel(name)
        # A channel that is gone from the configuration fails at once, so its messages need no longer claim.
        return 1.0 if settings is None else settings.timeout

    def rate(self, name: str) -> float | None:
        """How many messages a channel accepts in a second; None means no limit."""
        settings = self.response.channel(name)
        kind = None if settings is None else find_channel_kind(settings.type)
        return None if settings is None or kind is None else settings.per_second or kind.per_second

    async def send(self, name: str, message: ChannelMessage) -> str | None:
        """Send a message, within the channel's time limit; returns what the channel does. Raises DeliveryError."""
        settings = self.response.channel(name)
        if settings is None or not settings.enabled:
            raise DeliveryError(f'the channel "{name}" is not in use any more', permanent=True)
        channel = self._channel(name, settings)
        try:
            with anyio.fail_after(settings.timeout):
                return await channel.send(message)
        except TimeoutError as error:
            raise DeliveryError(
                f"{name} did not accept the message within {settings.timeout:g} s", permanent=False
            ) from error

    def _channel(self, name: str, settings: ChannelSettings) -> Channel:
        known = self._made.get(name)
        if known is not None and known[0] == settings:
            return known[1]
        channel = make_channel(ChannelContext(settings, self._credentials, self._clock, self._web_push))
        self._made[name] = (settings, channel)
        if known is not None:
            self._retired.append(known[1])
        return channel


def make_channel(context: ChannelContext) -> Channel:
    """The channel that the settings describe. Raises DeliveryError where its kind cannot be used."""
    kind = find_channel_kind(context.settings.type)
    if kind is None:
        message = f'no installed package has the channel type "{context.settings.type}"'
        raise DeliveryError(message, permanent=True)
    try:
        channel: Channel = resolve_name(kind.factory)(context)
    except (ImportError, AttributeError) as error:
        message = f'the channel type "{kind.name}" cannot be loaded from {kind.factory} ({type(error).__name__})'
        raise DeliveryError(message, permanent=True) from error
    return channel

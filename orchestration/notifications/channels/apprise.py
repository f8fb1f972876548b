"""Some hundred other services, by the Apprise library, which is an extra."""

from __future__ import annotations

import importlib
from typing import Any

from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError


class AppriseChannel:
    """Hands messages to Apprise; its URL (`urlEnv`) says which service, and holds the secret."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context

    async def send(self, message: ChannelMessage) -> None:
        """Send one message. Raises DeliveryError; Apprise does not say why, so that a failure may pass."""
        library = _library()
        service = library.Apprise()
        if not service.add(self._context.url()):
            raise DeliveryError("Apprise does not know such a URL; see its list of services", permanent=True)
        if not await service.async_notify(title=message.subject, body=message.body, body_format="text"):
            raise DeliveryError("Apprise could not send it", permanent=False)

    async def aclose(self) -> None:
        """Nothing stays open."""


def _library() -> Any:
    try:
        return importlib.import_module("apprise")
    except ImportError as error:
        advice = "the Apprise library is missing; install it with: pip install 'agent-orchestration[apprise]'"
        raise DeliveryError(advice, permanent=True) from error

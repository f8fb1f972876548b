"""About a hundred other services, by the Apprise library, which is an optional dependency.

The services and their URLs: https://github.com/caronc/apprise/wiki.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError

# `@everyone` and `@here` of Discord, Mattermost and Rocket.Chat, `@room` of Matrix, `<!channel>`, `<@ID>` of Slack.
_MENTION = re.compile(r"(@(?=everyone|here|channel|all|room)|<(?=[!@#]))", re.IGNORECASE)


class AppriseChannel:
    """Passes messages to Apprise. Its URL (`urlEnv`) names the service and contains the secret."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context

    async def send(self, message: ChannelMessage) -> None:
        """Send one message.

        Raises DeliveryError; Apprise does not say why it failed, so every failure may be temporary.
        """
        library = _library()
        service = library.Apprise()
        if not service.add(self._context.url()):
            raise DeliveryError("Apprise does not know this kind of URL; see its list of services", permanent=True)
        title, body = without_mentions(message.subject), without_mentions(message.body)
        if not await service.async_notify(title=title, body=body, body_format="text"):
            raise DeliveryError("Apprise could not send the message", permanent=False)

    async def aclose(self) -> None:
        """Nothing stays open."""


def without_mentions(text: str) -> str:
    """The text with a space of no width in what some of these services read as a mention of everybody, so that the text
    of an alert cannot call a whole community."""
    return _MENTION.sub("\\1\u200b", text)


def _library() -> Any:
    try:
        # Imported at the first message, so that only those who use it have to install it.
        return importlib.import_module("apprise")
    except ImportError as error:
        advice = "the Apprise library is missing; install it with: pip install 'agent-orchestration[apprise]'"
        raise DeliveryError(advice, permanent=True) from error

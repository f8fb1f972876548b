"""Channels against real servers on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.config.response import ChannelSettings, ResponseSettings
from orchestration.notifications.channels import Channels, DeliveryError, Message
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.templates import SHIPPED
from tests.support.notices import NOON, a_contact, a_notice
from tests.support.receivers import HttpReceiver, http_receiver

SECRETS = {"HOOK_SECRET": "open sesame", "PD_KEY": "R0123456789", "MAIL_PASSWORD": "letmein-42", "TOKEN": "am-token"}
Send = Callable[..., Any]


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
async def send() -> AsyncIterator[Send]:
    """Send a message on a channel that is described by its settings."""
    settings: dict[str, ChannelSettings] = {}
    async with Channels(lambda: ResponseSettings(channels=settings), SECRETS, FakeClock(NOON)) as channels:

        async def send(message: Message, **channel: Any) -> None:
            settings["under-test"] = ChannelSettings(**channel)
            await channels.send("under-test", message)

        yield send


async def refusal(send: Send, message: Message, **channel: Any) -> DeliveryError:
    """The error with which a channel does not take a message."""
    with pytest.raises(DeliveryError) as caught:
        await send(message, **channel)
    return caught.value


def a_message(kind: NoticeKind = NoticeKind.INITIAL, *, address: str = "ada@example.org", **changes: Any) -> Message:
    notice = a_notice(kind, **changes)
    text = SHIPPED.render(notice, a_contact("ada"))
    key = f"{notice.incident_id}:{kind.value}:ada:under-test"
    return Message(key, "ada", address, text.subject, text.body, notice, NOON)

"""Channels against real servers on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestration.clock import Clock, FakeClock, SystemClock
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import ResponseSettings
from orchestration.notifications.channels import ChannelMessage, ChannelRegistry, DeliveryError
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
    async with _sending(FakeClock(NOON)) as send:
        yield send


@pytest.fixture
async def send_now() -> AsyncIterator[Send]:
    """As `send`, by the machine's own clock, for a receiver that has one as well."""
    async with _sending(SystemClock()) as send:
        yield send


@asynccontextmanager
async def _sending(clock: Clock) -> AsyncIterator[Send]:
    settings: dict[str, ChannelSettings] = {}
    async with ChannelRegistry(lambda: ResponseSettings(channels=settings), SECRETS, clock) as channels:

        async def send(message: ChannelMessage, **channel: Any) -> None:
            settings["under-test"] = ChannelSettings(**channel)
            await channels.send("under-test", message)

        yield send


async def refusal(send: Send, message: ChannelMessage, **channel: Any) -> DeliveryError:
    """The error with which a channel does not take a message."""
    with pytest.raises(DeliveryError) as caught:
        await send(message, **channel)
    return caught.value


def a_message(
    kind: NoticeKind = NoticeKind.INITIAL, *, address: str = "ada@example.org", **changes: Any
) -> ChannelMessage:
    notice = a_notice(kind, **changes)
    text = SHIPPED.render(notice, a_contact("ada"))
    key = f"{notice.incident_id}:{kind.value}:ada:under-test"
    return ChannelMessage(key, "ada", address, text.subject, text.body, notice, NOON)

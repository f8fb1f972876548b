"""The links of a message reach its recipient whole, whatever the channel makes of the text."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestration.domain.channel_kind import ChannelKind
from orchestration.domain.message_verb import MessageVerb
from orchestration.notifications.channels import ChannelMessage
from orchestration.notifications.message_links import MessageLink
from tests.contract.notifications.conftest import Send, a_message
from tests.support.notices import NOON
from tests.support.receivers import HttpReceiver, mail_server

_UNTIL = NOON + timedelta(days=1)


def a_page(details: str = "It fails.") -> ChannelMessage:
    token = "orclink_" + "aZ09-_" * 25
    links = [MessageLink(verb, f"https://ops.example.org/answer/{token}{verb}", _UNTIL) for verb in MessageVerb]
    return replace(a_message(details=details), links=tuple(links))


@pytest.mark.parametrize(
    "details", ["It fails.", "a line of a long log & more <of> it\n" * 2000], ids=["short", "long"]
)
@pytest.mark.parametrize("kind", [ChannelKind.SLACK, ChannelKind.TEAMS, ChannelKind.WEBHOOK])
async def test_a_chat_gets_every_link_however_long_the_text_is(
    send: Send, receiver: HttpReceiver, kind: ChannelKind, details: str
) -> None:
    message = a_page(details)
    await send(message, type=kind.value, url=receiver.url)
    (received,) = receiver.received
    assert [link.url for link in message.links if link.url.encode() not in received.body] == []


async def test_a_webhook_gets_the_links_by_themselves(send: Send, receiver: HttpReceiver) -> None:
    message = a_page()
    await send(message, type="webhook", url=receiver.url)
    data = receiver.bodies()[0]["data"]
    assert [(link["verb"], link["label"], link["expires_at"]) for link in data["links"]] == [
        (verb, verb.capitalize(), "2026-03-05T12:00:00Z") for verb in ("acknowledge", "resolve", "escalate")
    ]
    assert data["body"] == message.body


async def test_a_mail_ends_with_them_unbroken(send: Send) -> None:
    message = a_page()
    with mail_server() as (mailbox, port):
        await send(message, type="email", host="127.0.0.1", port=port, tls="none", sender="pager@example.org")
    lines = mailbox.mails[0].get_content().splitlines()
    assert lines[-3:] == [f"  {link.verb.label}: {link.url}" for link in message.links]
    assert lines[-4].startswith("Answer without signing in, until 2026-03-05 12:00 UTC.")

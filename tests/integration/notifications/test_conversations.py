"""One incident, one conversation: against a server of the shape of Slack's Web API, and a real mail server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from orchestration.clock import FakeClock
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import Contact, ContactAddress, ResponseSettings
from orchestration.notifications.notice import NoticeKind
from tests.integration.notifications.conftest import SenderBench
from tests.support.notices import a_notice, a_response
from tests.support.receivers import mail_server
from tests.support.slack_server import SlackServer, slack_server

MakeBench = Callable[..., SenderBench]
STORY = (
    (NoticeKind.INITIAL, "initial-1"), (NoticeKind.ESCALATION, "escalation-2"), (NoticeKind.ACKNOWLEDGED, "ack-1"),
    (NoticeKind.RESOLVED, "resolved-1"),
)  # fmt: skip


def slack_bench(make_bench: MakeBench, slack: SlackServer, address: str = "C0123456789", **more: Any) -> SenderBench:
    settings = ChannelSettings(type="slack-bot", token_env="TOKEN", url=slack.url, per_second=1000.0)
    contact = Contact(id="ada", channels=(ContactAddress(channel="chat", address=address),))
    response = ResponseSettings(channels={"chat": settings}, contacts=(contact,))
    return make_bench(response, credentials={"TOKEN": slack.token}, **more)


async def tell(bench: SenderBench, *story: tuple[NoticeKind, str]) -> None:
    for kind, step in story:
        bench.put(a_notice(kind, title="<!channel> *all* & <http://evil|here>"), step)
        await bench.sender().send_due()


async def pass_time(bench: SenderBench, times: int) -> None:
    """Send what is due, again and again, while the clock moves on."""
    clock = bench.clock
    assert isinstance(clock, FakeClock)
    for _ in range(times):
        async with anyio.create_task_group() as group:
            done = anyio.Event()

            async def send(done: anyio.Event = done) -> None:
                await bench.sender().send_due()
                done.set()

            group.start_soon(send)
            while not done.is_set():
                await clock.advance(0.01)  # messages are spread by the channel's rate
                await anyio.sleep(0.002)
        await clock.advance(90)


async def test_an_incident_is_one_message_that_is_kept_up_to_date_and_a_thread(make_bench: MakeBench) -> None:
    with slack_server() as slack:
        bench = slack_bench(make_bench, slack, address="U0123456789")
        await tell(bench, *STORY)
        (root,) = slack.roots()
        answers = slack.thread(root.ts)
    assert root.content["text"].startswith("[RESOLVED] [Severity: P1] &lt;!channel&gt; *all* &amp; &lt;http://evil")
    assert root.content["attachments"][0]["color"] == "#2e7d32"
    assert [each.content["text"].split("]")[0] for each in answers] == ["[ESCALATION", "[ACKNOWLEDGED", "[RESOLVED"]
    assert [each.content["reply_broadcast"] for each in answers] == [True, False, False]
    assert root.channel == "D0123456789", "a message to a person is changed where it was posted"
    assert set(bench.states().values()) == {"sent"}


async def test_two_incidents_are_two_messages_and_a_restart_goes_on_with_each(make_bench: MakeBench) -> None:
    with slack_server() as slack:
        bench = slack_bench(make_bench, slack)
        await tell(bench, STORY[0])
        bench.put(a_notice(incident_id="inc-02"), "initial-1")
        await bench.sender().send_due()
        again = slack_bench(make_bench, slack)  # another process on the same database
        await tell(again, STORY[3])
        first, second = slack.roots()
        assert (first.edits, second.edits) == (1, 0)
        assert [each.thread for each in slack.messages if each.thread] == [first.ts]


@pytest.mark.parametrize("error", ["message_not_found", "edit_window_closed", "cant_update_message"])
async def test_a_message_that_cannot_be_changed_any_more_is_begun_anew(make_bench: MakeBench, error: str) -> None:
    with slack_server() as slack:
        bench = slack_bench(make_bench, slack)
        await tell(bench, STORY[0])
        slack.errors = [{"ok": False, "error": error}]
        await tell(bench, *STORY[2:])
        old, new = slack.roots()
        assert old.edits == 0
        assert new.content["text"].startswith("[RESOLVED]")
        assert len(slack.thread(new.ts)) == 1


async def test_a_layout_that_slack_does_not_accept_costs_no_page(make_bench: MakeBench) -> None:
    with slack_server() as slack:
        bench = slack_bench(make_bench, slack)
        slack.errors = [{"ok": False, "error": "msg_blocks_too_long"}]
        await tell(bench, STORY[0])
        (root,) = slack.roots()
    assert root.content["attachments"] == []
    assert "Impact: 3 runs wait for a model" in root.content["text"]
    assert "&lt;!channel&gt;" in root.content["text"]


async def test_an_outage_and_limits_of_rate_lose_nothing_and_post_nothing_twice(make_bench: MakeBench) -> None:
    with slack_server() as slack:
        bench = slack_bench(make_bench, slack, fake=True)
        slack.errors = [{"ok": False, "error": "internal_error"}] * 40
        for kind, step in STORY[:3]:
            bench.put(a_notice(kind), step)
            await pass_time(bench, 1)
        await pass_time(bench, 57)
        slack.limits = 3
        bench.put(a_notice(NoticeKind.RESOLVED), "resolved-1")
        await pass_time(bench, 6)
        (root,) = slack.roots()
        answers = [each.content["text"].split("]")[0] for each in slack.thread(root.ts)]
    assert answers == ["[ESCALATION", "[ACKNOWLEDGED", "[RESOLVED"]
    assert {state for key, state in bench.states().items() if ":log" not in key} == {"sent"}


async def test_a_token_or_a_channel_that_is_wrong_is_named_and_the_next_channel_used(make_bench: MakeBench) -> None:
    with slack_server() as slack:
        bench = slack_bench(make_bench, slack)
        slack.errors = [{"ok": False, "error": "not_in_channel"}]
        (row,) = bench.put(a_notice())
        await bench.sender().send_due()
    (attempt,) = bench.outbox.list_attempts(row.key)
    assert attempt.detail == "Slack answered: not_in_channel"
    assert bench.states() == {"initial:ada:chat": "failed", "initial:ada:log": "sent"}


async def test_mails_about_an_incident_are_one_conversation(make_bench: MakeBench) -> None:
    with mail_server() as (mailbox, port):
        mail = {"type": "email", "host": "127.0.0.1", "port": port, "tls": "none", "sender": "pager@example.org"}
        bench = make_bench(a_response({"ada": ("mail",)}, mail=mail))
        await tell(bench, *STORY)
        bench.put(a_notice(NoticeKind.REMINDER), "reminder-1")
        await bench.sender().send_due()
    first, *others = mailbox.mails
    assert first["In-Reply-To"] is None
    assert {each["In-Reply-To"] for each in others} == {first["Message-ID"]}
    assert all(each["References"].split() == [first["References"], first["Message-ID"]] for each in others)
    assert len({each["Message-ID"] for each in mailbox.mails}) == len(STORY) + 1

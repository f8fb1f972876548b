from __future__ import annotations

import hashlib
import hmac
import html
import json
from datetime import timedelta
from typing import Any

import pytest

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.http import retry_after
from orchestration.notifications.notice import NoticeKind
from tests.contract.notifications.conftest import SECRETS, Send, a_message, refusal
from tests.support.notices import NOON
from tests.support.receivers import Answer, HttpReceiver, http_receiver


def text_of(card: dict[str, object]) -> str:
    attachments = card["attachments"]
    assert isinstance(attachments, list)
    title, *lines = attachments[0]["content"]["body"]
    return "\n".join(block["inlines"][0]["text"] for block in (*title["items"], *lines))


def slack_text(message: dict[str, Any]) -> str:
    """The whole text, as people see it."""
    sections = [block["text"]["text"] for block in message["attachments"][0]["blocks"] if block["type"] == "section"]
    return html.unescape("\n".join([message["text"], *sections]))


async def test_a_webhook_gets_a_signed_cloud_event(send: Send, receiver: HttpReceiver) -> None:
    message = a_message()
    await send(message, type="webhook", url=f"{receiver.url}/hook?a=1", secret_env="HOOK_SECRET")
    (got,) = receiver.received
    headers = {name.lower(): value for name, value in got.headers.items()}
    signed = headers["orchestrator-timestamp"].encode() + b"." + got.body
    expected = hmac.new(SECRETS["HOOK_SECRET"].encode(), signed, hashlib.sha256).hexdigest()
    assert headers["orchestrator-signature"] == f"sha256={expected}"
    assert headers["orchestrator-timestamp"] == str(int(NOON.timestamp()))
    assert headers["orchestrator-id"] == message.key
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert got.path == "/hook?a=1"
    event = got.json
    assert (event["specversion"], event["id"], event["type"]) == (
        "1.0",
        message.key,
        "orchestration.notification.initial",
    )
    assert event["data"]["body"] == message.body
    assert event["data"]["notice"] == message.notice.as_json()


async def test_a_webhook_without_a_secret_is_not_signed(send: Send, receiver: HttpReceiver) -> None:
    await send(a_message(), type="webhook", url=receiver.url)
    assert not [name for name in receiver.received[0].headers if name.lower() == "orchestrator-signature"]


async def test_slack_gets_text_in_which_nothing_is_a_mention_or_a_link(send: Send, receiver: HttpReceiver) -> None:
    await send(a_message(title="<!channel> & <http://evil|click>"), type="slack", url=receiver.url)
    (body,) = receiver.bodies()
    assert body["text"] == "[INCIDENT] [Severity: P1] &lt;!channel&gt; &amp; &lt;http://evil|click&gt;"
    assert "Next Update: " in slack_text(body)
    assert body["mrkdwn"] is False
    assert body["attachments"][0]["color"] == "#e65100"
    assert {block["text"]["type"] for block in body["attachments"][0]["blocks"][:-1]} == {"plain_text"}


async def test_teams_gets_a_card_with_the_whole_text_and_no_markdown(send: Send, receiver: HttpReceiver) -> None:
    message = a_message(title="[click](http://evil)")
    await send(message, type="teams", url=receiver.url)
    (body,) = receiver.bodies()
    card = body["attachments"][0]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    title, *lines = card["content"]["body"]
    assert {block["type"] for block in (*title["items"], *lines)} == {"RichTextBlock"}
    assert title["style"] == "attention"
    assert text_of(body).splitlines()[0] == message.subject
    assert "  ollama serve" in text_of(body)


async def test_every_message_leads_to_the_incidents_page(send: Send, receiver: HttpReceiver) -> None:
    url = "http://127.0.0.1:8080/incidents/inc-01"
    for kind in ("webhook", "slack", "teams"):
        await send(a_message(), type=kind, url=receiver.url)
    event, slack, teams = receiver.bodies()
    assert event["data"]["notice"]["url"] == url
    assert slack_text(slack).splitlines()[-1] == f"Incident: inc-01 {url}"
    (button,) = slack["attachments"][0]["blocks"][-1]["elements"]
    assert button["url"] == url
    actions = teams["attachments"][0]["content"]["actions"]
    assert actions == [{"type": "Action.OpenUrl", "title": "Open the incident", "url": url}]


async def test_a_card_about_what_has_no_page_has_no_button(send: Send, receiver: HttpReceiver) -> None:
    await send(a_message(url=""), type="teams", url=receiver.url)
    assert receiver.bodies()[0]["attachments"][0]["content"]["actions"] == []


async def test_a_card_stays_below_the_limit_of_teams(send: Send, receiver: HttpReceiver) -> None:
    await send(
        a_message(title="\U0001f525" * 300, details=("\U0001f525" * 39 + "\n") * 100), type="teams", url=receiver.url
    )
    assert len(receiver.received[0].body) < 28_000


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (NoticeKind.INITIAL, "trigger"),
        (NoticeKind.ESCALATION, "trigger"),
        (NoticeKind.UPDATE, "trigger"),
        (NoticeKind.ACKNOWLEDGED, "acknowledge"),
        (NoticeKind.RESOLVED, "resolve"),
        (NoticeKind.CANCELLED, "resolve"),
        (NoticeKind.MERGED, "resolve"),
    ],
)
async def test_pagerduty_has_one_alert_for_each_incident(
    send: Send, receiver: HttpReceiver, kind: NoticeKind, action: str
) -> None:
    receiver.answer = Answer(202, "{}")
    await send(a_message(kind), type="pagerduty", url=receiver.url, routing_key_env="PD_KEY")
    (got,) = receiver.received
    body = got.json
    assert got.path == "/v2/enqueue"
    assert (body["event_action"], body["dedup_key"], body["routing_key"]) == (action, "inc-01", SECRETS["PD_KEY"])
    assert body["payload"]["severity"] == "error"
    assert body["links"] == [{"href": "http://127.0.0.1:8080/incidents/inc-01", "text": "inc-01"}]


async def test_an_event_stays_below_the_limits_of_pagerduty(send: Send, receiver: HttpReceiver) -> None:
    huge = a_message(incident_id="i" * 300, title="t" * 5000, details="d" * 900_000)
    await send(huge, type="pagerduty", url=receiver.url, routing_key_env="PD_KEY")
    body = receiver.bodies()[0]
    assert len(body["dedup_key"]) == 255
    assert len(body["payload"]["summary"]) <= 1024
    assert len(receiver.received[0].body) < 512_000


async def test_a_reminder_does_not_open_the_incident_at_pagerduty_again(send: Send, receiver: HttpReceiver) -> None:
    await send(a_message(NoticeKind.REMINDER), type="pagerduty", url=receiver.url, routing_key_env="PD_KEY")
    body = receiver.bodies()[0]
    assert (body["dedup_key"], body["payload"]["severity"]) == ("inc-01/reminder", "info")


async def test_a_test_leaves_nothing_open_at_pagerduty(send: Send, receiver: HttpReceiver) -> None:
    await send(a_message(NoticeKind.TEST), type="pagerduty", url=receiver.url, routing_key_env="PD_KEY")
    assert [(body["event_action"], body["dedup_key"]) for body in receiver.bodies()] == [
        ("trigger", "inc-01/test"),
        ("resolve", "inc-01/test"),
    ]


async def test_alertmanager_gets_firing_and_resolved_alerts(send: Send, receiver: HttpReceiver) -> None:
    channel = {"type": "alertmanager", "url": f"{receiver.url}/", "secret_env": "TOKEN"}
    await send(a_message(severity=Severity.P2), **channel)
    await send(a_message(NoticeKind.RESOLVED, severity=Severity.P2), **channel)
    firing, resolved = receiver.bodies()
    assert [each.path for each in receiver.received] == ["/api/v2/alerts"] * 2
    assert receiver.received[0].headers["authorization"] == f"Bearer {SECRETS['TOKEN']}"
    now = NOON.isoformat()
    assert {alert["labels"]["severity"]: alert["endsAt"] > now for alert in firing} == {
        "P0": False, "P1": False, "P2": True, "P3": False,
    }  # fmt: skip
    assert {alert["endsAt"] for alert in resolved} == {now}
    assert [alert["labels"] for alert in firing] == [alert["labels"] for alert in resolved]
    assert firing[2]["startsAt"] == (NOON - timedelta(minutes=5)).isoformat()


HTTP_CHANNELS = [
    {"type": "webhook"},
    {"type": "slack"},
    {"type": "slack-bot", "token_env": "TOKEN"},
    {"type": "teams"},
    {"type": "pagerduty", "routing_key_env": "PD_KEY"},
    {"type": "alertmanager"},
]


@pytest.mark.parametrize("channel", HTTP_CHANNELS, ids=lambda each: each["type"])
@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (403, True), (404, True), (410, True), (408, False), (429, False), (500, False), (503, False)],
)
async def test_every_channel_knows_never_from_later(
    send: Send, receiver: HttpReceiver, channel: dict[str, str], status: int, permanent: bool
) -> None:
    receiver.answer = Answer(status, "no such\nthing")
    error = await refusal(send, a_message(), url=receiver.url, **channel)
    assert error.permanent is permanent
    assert f"answered {status}: no such thing" in str(error)


@pytest.mark.parametrize("channel", HTTP_CHANNELS, ids=lambda each: each["type"])
async def test_every_channel_gives_up_on_a_receiver_that_hangs(
    send: Send, receiver: HttpReceiver, channel: dict[str, str]
) -> None:
    receiver.answer = Answer(delay=0.5)
    error = await refusal(send, a_message(), url=receiver.url, timeout=0.1, **channel)
    assert not error.permanent


@pytest.mark.parametrize("channel", HTTP_CHANNELS, ids=lambda each: each["type"])
async def test_a_closed_port_is_a_temporary_failure_on_every_channel(send: Send, channel: dict[str, str]) -> None:
    with http_receiver() as gone:
        url = f"{gone.url}/secret-path"
    error = await refusal(send, a_message(), url=url, **channel)
    assert not error.permanent
    assert "secret-path" not in str(error)


@pytest.mark.parametrize("channel", HTTP_CHANNELS, ids=lambda each: each["type"])
async def test_no_channel_follows_a_redirect_with_its_secrets(
    send: Send, receiver: HttpReceiver, channel: dict[str, str]
) -> None:
    with http_receiver() as other:
        receiver.answer = Answer(307, "", {"location": other.url})
        error = await refusal(send, a_message(), url=receiver.url, **channel)
        assert error.permanent
        assert "redirect" in str(error)
        assert other.received == []


async def test_no_proxy_of_the_environment_sees_a_message(
    send: Send, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await send(a_message(), type="webhook", url=receiver.url)
        assert len(receiver.received) == 1
        assert proxy.received == []


async def test_a_receiver_may_say_how_long_to_wait(send: Send, receiver: HttpReceiver) -> None:
    receiver.answer = Answer(429, "slow down", {"retry-after": "17"})
    assert (await refusal(send, a_message(), type="slack", url=receiver.url)).retry_after == 17


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5), ("0", 0), ("999999", 3600), ("Wed, 04 Mar 2026 12:00:30 GMT", 30),
        ("Wed, 04 Mar 2026 11:00:00 GMT", 0), ("soon", None), ("-5", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_the_time_to_wait_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOON) == seconds


@pytest.mark.parametrize(
    ("channel", "advice"),
    [
        ({"type": "slack", "url_env": "NOT_SET"}, "put NOT_SET=… into .env"),
        ({"type": "webhook"}, '"urlEnv" is not set'),
        ({"type": "pagerduty", "url": "http://127.0.0.1:1"}, '"routingKeyEnv" is not set'),
        ({"type": "webhook", "url": "gopher://127.0.0.1:1"}, "UnsupportedProtocol"),
        ({"type": "apprise", "url": "json://127.0.0.1:1"}, "pip install 'agent-orchestration[apprise]'"),
        ({"type": "slack", "url": "http://127.0.0.1:1", "enabled": False}, "not in use any more"),
    ],
)
async def test_a_channel_without_its_settings_fails_for_good(send: Send, channel: dict[str, str], advice: str) -> None:
    error = await refusal(send, a_message(), **channel)
    assert error.permanent
    assert advice in str(error)


async def test_texts_that_are_no_text_still_go_out(send: Send, receiver: HttpReceiver) -> None:
    await send(a_message(title="\ud800 lone", details="\x00\x1b[2J"), type="webhook", url=receiver.url)
    assert json.loads(receiver.received[0].body)["data"]["subject"] == "[INCIDENT] [Severity: P1] lone"


async def test_a_changed_setting_counts_at_the_next_message(send: Send, receiver: HttpReceiver) -> None:
    await send(a_message(), type="webhook", url=f"{receiver.url}/old")
    await send(a_message(), type="webhook", url=f"{receiver.url}/new")
    assert [each.path for each in receiver.received] == ["/old", "/new"]

"""Push messages through the outbox to a real push service, which checks the sender and decrypts for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.clock import FakeClock
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import Contact, ContactAddress, ResponseSettings
from orchestration.domain.message_verb import MessageVerb
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.message_links import MessageLink
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.push_encryption import public_key_of
from orchestration.notifications.web_push import WebPushAccess
from orchestration.storage.push_subscriptions import PushSubscription, PushSubscriptions, subscription_id
from tests.integration.notifications.conftest import SenderBench
from tests.support.notices import NOON, a_notice
from tests.support.push_service import Device, PushService, a_device, push_service
from tests.support.receivers import Answer

KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[PushService]:
    with push_service(tmp_path) as running:
        yield running


@pytest.fixture
async def bench(make_bench: Callable[..., SenderBench], service: PushService) -> SenderBench:
    """Ada is reached by push messages, and by the log."""
    push = ChannelSettings(
        type="web-push", sender="ops@example.org", private_network=True, ca_file=str(service.certificate)
    )
    places = (ContactAddress(channel="push", address="ada"), ContactAddress(channel="log"))
    settings = ResponseSettings(channels={"push": push}, contacts=(Contact(id="ada", channels=places),))
    made = make_bench(settings, fake=True)
    access = WebPushAccess(PushSubscriptions(made.database), lambda _: KEY)
    made.channels = ChannelRegistry(lambda: made.settings, {}, made.clock, access)
    return made


def subscribe(bench: SenderBench, service: PushService, name: str = "phone", user: str = "ada") -> Device:
    device, endpoint = a_device(), f"{service.url}/send/{name}"
    one = PushSubscription(subscription_id(endpoint), user, endpoint, *device.keys, name, NOON)
    PushSubscriptions(bench.database).put(one)
    return device


def names(bench: SenderBench) -> list[str]:
    return sorted(one.label for one in PushSubscriptions(bench.database).of_user("ada"))


def page(**changes: str) -> Notice:
    url = "https://ops.example.org/incidents/inc-01"
    return replace(a_notice(NoticeKind.INITIAL), **{"url": url, **changes})  # type: ignore[arg-type]


def state(bench: SenderBench, step: str = "initial") -> str:
    return bench.states()[f"{step}:ada:push"]


async def send(bench: SenderBench, *links: MessageLink) -> None:
    async with bench.channels:
        await bench.sender(links_of=lambda *_: links).send_due()


async def test_a_page_arrives_signed_and_encrypted_for_each_device(bench: SenderBench, service: PushService) -> None:
    phone, laptop = subscribe(bench, service), subscribe(bench, service, "laptop")
    subscribe(bench, service, "other", user="ben")
    link = MessageLink(MessageVerb.ACKNOWLEDGE, "https://ops.example.org/answer/orclink_x", NOON + timedelta(hours=1))
    bench.put(page(title="Über 90 % CPU"))
    await send(bench, link)
    assert sorted(got.path for got in service.received) == ["/send/laptop", "/send/phone"]
    for got in service.received:
        shown = (phone if got.path.endswith("phone") else laptop).shows(got.body)
        assert shown["title"] == "[INCIDENT] [Severity: P1] Über 90 % CPU"
        assert (shown["tag"], shown["url"]) == ("inc-01", "https://ops.example.org/incidents/inc-01")
        assert (shown["acknowledge"], shown["urgent"]) == (link.url, True)
        assert "orclink_" not in shown["body"]
        claims, key = service.claims(got)
        assert (claims["sub"], key) == ("mailto:ops@example.org", public_key_of(KEY))
        assert 0 < claims["exp"] - NOON.timestamp() <= 24 * 3600
        headers = {name.lower(): value for name, value in got.headers.items()}
        assert (headers["content-encoding"], headers["urgency"], headers["ttl"]) == ("aes128gcm", "high", "14400")
        assert len(headers["topic"]) == 32
    assert state(bench) == "sent"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_device_that_has_ended_its_subscription_is_removed(
    bench: SenderBench, service: PushService, status: int
) -> None:
    subscribe(bench, service)
    service.answers = [Answer(status, "gone")]
    bench.put(page())
    await send(bench)
    assert (names(bench), state(bench)) == ([], "failed")
    subscribe(bench, service, "tablet")
    bench.put(page(), "page-1-2")
    await send(bench)
    assert state(bench, "page-1-2") == "sent"


async def test_only_the_device_whose_service_is_away_gets_the_message_again(
    bench: SenderBench, service: PushService
) -> None:
    subscribe(bench, service)
    subscribe(bench, service, "laptop")
    service.answers = [Answer(503, "busy", {"retry-after": "30"})]
    bench.put(page())
    async with bench.channels:
        await bench.sender().send_due()
        assert (state(bench), len(service.received)) == ("pending", 2)
        assert isinstance(bench.clock, FakeClock)
        await bench.clock.advance(120)
        await bench.sender().send_due()
    assert state(bench) == "sent"
    paths = [got.path for got in service.received]
    # The first answer was the 503, whichever of the two had it.
    assert paths == [paths[2], *{"/send/phone", "/send/laptop"} - {paths[2]}, paths[2]]
    assert names(bench) == ["laptop", "phone"], "neither has ended its subscription"


async def test_what_is_recorded_of_a_failure_shows_no_address(bench: SenderBench, service: PushService) -> None:
    bench.put(page())
    await send(bench)
    subscribe(bench, service, "secret-path")
    service.answer = Answer(403, "no such key")
    bench.put(page(), "page-1-2")
    await send(bench)
    attempts = [one for row in bench.outbox.list_for_incident("inc-01") for one in bench.outbox.list_attempts(row.key)]
    details = [one.detail for one in attempts if one.detail]
    assert "ada has subscribed no device" in details
    assert any("answered 403" in one for one in details)
    assert not [one for one in details if "secret-path" in one]
    assert names(bench) == ["secret-path"]


async def test_a_long_page_is_cut_to_what_every_push_service_takes(bench: SenderBench, service: PushService) -> None:
    device = subscribe(bench, service)
    link = MessageLink(MessageVerb.ACKNOWLEDGE, f"https://e.org/answer/{'y' * 1_000}", NOON + timedelta(hours=1))
    notice = page(title="🔥" * 3_000, details="\u4e16\u754c\n" * 5_000, url=f"https://e.org/{'x' * 500}")
    bench.put(notice)
    await send(bench, link)
    (got,) = service.received
    shown = device.shows(got.body)
    assert shown["title"].startswith("[INCIDENT] [Severity: P1] 🔥")
    assert (shown["acknowledge"], shown["url"]) == (link.url, notice.url)

"""A call whose provider says nothing: whoever thinks is waited for, whoever is gone is left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.responses import Response

from orchestration.config.providers.settings import ProviderSettings
from orchestration.providers import liveness
from orchestration.providers.breaker import BreakerState
from orchestration.providers.failures import NoRouteError, StreamInterruptedError
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import Desk, provider, together
from tests.support.patience import Stopwatch
from tests.support.vendor import DONE, END, Asked, Vendor, as_json, delta, stream, streamed

# The limits are those of the product: the first token may take two minutes. It takes two seconds, on a machine with
# nothing else to do.
FOUND_WITHIN = 20.0


async def never(_: Asked) -> Response:
    await anyio.sleep_forever()


def later(seconds: float, answer: Response) -> Any:
    async def handle(_: Asked) -> Response:
        await anyio.sleep(seconds)
        return answer

    return handle


def breaks_down_after(*pieces: bytes) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        await anyio.sleep_forever()

    return stream(parts())


@pytest.fixture
async def desk(make_desk: MakeDesk, first: Vendor, second: Vendor) -> Desk:
    """One call has taught the gateway that the first provider answers probes while it works."""
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    first.answer = later(0.8, streamed("Yes."))
    assert (await desk.ask()).route.provider == "a"
    assert len(first.probes) == 1
    return desk


def hangs(vendor: Vendor) -> None:
    vendor.answer = vendor.probe = never


async def timed(desk: Desk, **call: Any) -> tuple[str, float]:
    begun = time.monotonic()
    completion = await desk.ask(**call)
    return completion.route.provider, time.monotonic() - begun


async def test_a_provider_that_hangs_is_left_within_seconds_whatever_its_time_limits(desk: Desk, first: Vendor) -> None:
    hangs(first)
    found, seconds = await timed(desk)
    assert found == "b"
    assert seconds < FOUND_WITHIN
    assert len(first.chats) == 2  # no second try on the spot
    assert desk.status("a").state == BreakerState.OPEN.value
    assert desk.breakers("a") == ["opened: unreachable"]
    assert "nothing was heard" in desk.status("a").last_failure


async def test_a_stream_that_stalls_is_left_as_soon(desk: Desk, first: Vendor) -> None:
    first.probe = never
    first.answer = lambda _: breaks_down_after(delta(role="assistant", content="Y"))
    found, seconds = await timed(desk)
    assert (found, seconds < FOUND_WITHIN) == ("b", True)


async def test_what_was_handed_on_already_is_broken_off(desk: Desk, first: Vendor) -> None:
    first.probe = never
    first.answer = lambda _: breaks_down_after(delta(role="assistant", content="Y"))
    heard: list[Any] = []

    async def on_chunk(chunk: Any) -> None:
        heard.append(chunk)

    with pytest.raises(StreamInterruptedError, match="nothing was heard"):
        await desk.ask(on_chunk)
    assert heard


async def test_a_model_that_thinks_for_long_is_waited_for(desk: Desk, first: Vendor) -> None:
    first.answer = later(4.0, streamed("Yes."))  # longer than a provider that is gone would be waited for
    found, seconds = await timed(desk)
    assert (found, seconds >= 4.0) == ("a", True)
    assert 2 <= len(first.probes) <= 4  # ever more seldom


async def test_a_server_that_does_one_thing_at_a_time_is_waited_for(make_desk: MakeDesk, first: Vendor) -> None:
    """It answers a probe only when it has nothing else to do."""
    lock = anyio.Lock()

    async def chat(_: Asked) -> Response:
        async with lock:
            await anyio.sleep(4.5)
            return streamed("Yes.")

    async def probe(_: Asked) -> Response:
        async with lock:
            return as_json({"data": []})

    first.answer, first.probe = chat, probe
    desk = make_desk({"a": provider(first.url)})
    assert (await timed(desk))[0] == "a"
    assert (await desk.gateway.probe("a")).ok
    assert not any(desk.breakers("a"))


async def test_a_vendors_service_is_not_asked_beside_every_call(
    desk: Desk, first: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There every request counts; so it takes a silence that is unusual."""
    monkeypatch.setattr(ProviderSettings, "is_local", False)
    first.answer = later(1.5, streamed("Yes."))
    before = len(first.probes)
    assert (await timed(desk))[0] == "a"
    assert len(first.probes) == before
    monkeypatch.setattr(liveness, "_IDLE_REMOTE_SECONDS", 0.6)
    hangs(first)
    assert (await timed(desk))[0] == "b"


async def test_one_question_is_enough_for_all_calls(desk: Desk, first: Vendor, second: Vendor) -> None:
    async def slowly(_: Asked) -> Response:
        await anyio.sleep(2.0)
        return streamed("Yes.")

    first.answer = slowly
    answers = await together(*[desk.ask] * 4)  # as many as it is given at once
    assert [one.route.provider for one in answers] == ["a"] * 4
    assert len(first.probes) - 1 <= 3
    hangs(first)
    begun = Stopwatch()
    answers = await together(*[desk.ask] * 4)
    assert [one.route.provider for one in answers] == ["b"] * 4
    assert begun.is_within(FOUND_WITHIN), begun
    assert len(second.chats) == 4


async def test_a_refused_probe_says_nothing_of_a_call_that_is_under_way(desk: Desk, first: Vendor) -> None:
    first.probe = lambda _: as_json({"error": {"message": "about to stop"}}, 503)
    first.answer = later(2.5, streamed("Yes."))
    assert (await timed(desk))[0] == "a"


async def test_a_reader_that_is_slow_is_not_the_providers_silence(desk: Desk, first: Vendor) -> None:
    first.probe = never
    first.answer = lambda _: stream([delta(role="assistant", content="Y"), END, DONE])
    slept = False

    async def on_chunk(_: Any) -> None:
        nonlocal slept
        if not slept:
            slept = True
            await anyio.sleep(2.5)

    assert (await desk.ask(on_chunk)).route.provider == "a"


async def test_what_the_reader_raises_comes_out_as_it_is(desk: Desk) -> None:
    async def on_chunk(_: Any) -> None:
        raise ConnectionResetError("the reader is gone")

    with pytest.raises(ConnectionResetError, match="the reader is gone"):
        await desk.ask(on_chunk)


async def test_without_another_route_the_work_waits(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk({"a": provider(first.url)})
    first.answer = later(0.8, streamed("Yes."))
    await desk.ask()
    hangs(first)
    with pytest.raises(NoRouteError) as refused:
        await desk.ask()
    assert [one.outcome for one in refused.value.tries] == ["unreachable"]


async def test_a_probe_is_sent_again_on_another_connection_before_it_counts_as_silence(
    make_desk: MakeDesk, first: Vendor
) -> None:
    """The first is swallowed, as by a connection that died unnoticed."""
    swallowed: list[Asked] = []

    async def probe(asked: Asked) -> Response:
        swallowed.append(asked)
        if len(swallowed) == 1:
            await anyio.sleep_forever()
        return as_json({"data": []})

    first.probe = probe
    assert (await make_desk({"a": provider(first.url)}).gateway.probe("a")).ok
    assert len({asked.client for asked in swallowed}) == 2


async def test_a_probe_that_nobody_answers_ends_in_good_time(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk({"a": provider(first.url)})
    assert (await desk.gateway.probe("a")).ok
    first.probe = never
    result = await desk.gateway.probe("a")
    assert (result.outcome, 1.0 <= result.seconds < 10) == ("timeout", True)

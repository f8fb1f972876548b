"""For each way in which a provider fails, the cheapest safe answer: over real sockets, at the usual settings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from starlette.responses import Response

from orchestration.providers.failures import NoRouteError, RequestRefusedError
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import BODY, provider, together, until
from tests.support.patience import Stopwatch
from tests.support.vendor import Asked, Vendor, as_json, refused, streamed, whole, yes

PROBE = {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 8}
ODD = {"messages": [{"role": "user", "content": "odd"}]}


def is_odd(asked: Asked) -> bool:
    return bool(asked.body["messages"][0]["content"] == "odd")


def only_odd(answer: Callable[[], Response]) -> Callable[[Asked], Response]:
    """Answers one client's odd request badly, and every other as well as ever."""
    return lambda asked: answer() if is_odd(asked) else yes(asked)


ABOUT_THE_REQUEST: dict[str, Callable[[], Response]] = {
    "an empty answer": streamed,
    "an answer that is cut off": lambda: Response(b'data: {"choices": [{"delta": {"content": "Y"}}]}\n\n'),
    "something that is not JSON": lambda: Response(b"data: {nonsense\n\n"),
    "500": lambda: refused(500, "internal error"),
    "402 for a long answer": lambda: refused(402, "This request requires more credits, or fewer max_tokens."),
    "404 for tools": lambda: refused(404, "No endpoints found that support tool use."),
    "403 for moderation": lambda: refused(403, "The model requires moderation and your input was flagged"),
    "413": lambda: refused(413, "Request Entity Too Large"),
    "429 for its size": lambda: refused(429, "Request too large for m on tokens per min (TPM): Limit 10000"),
    "400": lambda: refused(400, "Image input is not supported"),
}


@pytest.mark.parametrize("answer", ABOUT_THE_REQUEST.values(), ids=ABOUT_THE_REQUEST.keys())
async def test_one_clients_odd_request_closes_nothing_for_the_others(
    make_desk: MakeDesk, first: Vendor, second: Vendor, answer: Callable[[], Response]
) -> None:
    first.answer = only_odd(answer)
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    async with desk.gateway.running():
        for _ in range(6):
            if answer is ABOUT_THE_REQUEST["403 for moderation"]:
                with pytest.raises(RequestRefusedError):
                    await desk.ask(body=ODD)
            else:
                assert (await desk.ask(body=ODD)).route.provider == "b"
        await anyio.sleep(0.4)
        assert (await desk.ask()).route.provider == "a"
    assert desk.breakers("a") == []


async def test_what_is_about_one_model_never_closes_the_provider(make_desk: MakeDesk, first: Vendor) -> None:
    no_access = "Project `p` does not have access to model `large`"
    first.answer = lambda asked: refused(403, no_access) if asked.body["model"] == "large" else yes(asked)
    desk = make_desk({"a": provider(first.url)})
    with pytest.raises(NoRouteError, match="model missing"):
        await desk.ask(model="large")
    assert (await desk.ask()).route.model == "m"


class IdleConnections:
    """A server that, when told to, resets each kept-alive connection at its next request, as a load balancer does that
    was restarted."""

    def __init__(self) -> None:
        self.port = 0
        self.requests = 0
        self.stale: set[SocketStream] = set()
        self._open: set[SocketStream] = set()

    def drop_all(self) -> None:
        self.stale |= self._open

    async def serve(self, stream: SocketStream) -> None:
        self._open.add(stream)
        body = json.dumps({"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        # The client closes the connections that it gives up.
        async with stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await self._answer(stream, head + body)
        self._open.discard(stream)

    async def _answer(self, stream: SocketStream, response: bytes) -> None:
        while (await stream.receive()) and stream not in self.stale:
            self.requests += 1
            await anyio.sleep(0.05)
            await stream.send(response)


@asynccontextmanager
async def idle_connections() -> AsyncIterator[IdleConnections]:
    server = IdleConnections()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        server.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        group.start_soon(partial(listener.serve, server.serve))
        yield server
        group.cancel_scope.cancel()


async def test_a_dead_pool_of_connections_costs_one_retry_on_a_fresh_one(make_desk: MakeDesk) -> None:
    async with idle_connections() as server:
        desk = make_desk({"a": provider(f"http://127.0.0.1:{server.port}", concurrency=8, streaming=False)})
        await together(*[desk.ask] * 8)
        server.drop_all()
        done = await together(*[desk.ask] * 8)
        assert [one.message["content"] for one in done] == ["Yes."] * 8
        assert max(len(one.tries) for one in done) == 2
        assert desk.breakers("a") == []


async def test_an_outage_is_over_for_callers_within_five_seconds(make_desk: MakeDesk, first: Vendor) -> None:
    """The sixth probe of an outage comes as soon as the first: what is wanted is probed steadily."""
    down = lambda asked: refused(404, "no such model")  # noqa: E731 (of all that may pass, what was probed least often)
    first.answer = down
    second = {"type": "openai", "baseUrl": "http://127.0.0.1:9/v1", "defaultModel": "m", "enabled": False}
    desk = make_desk({"a": provider(first.url), "b": second})
    async with desk.gateway.running():

        async def wanted() -> None:
            with pytest.raises(NoRouteError):
                await desk.ask()

        await wanted()
        for _ in range(3):
            before = len(first.chats)
            while len(first.chats) == before:
                await wanted()
                await anyio.sleep(0.1)
        first.answer = yes
        assert await until(lambda: desk.status("a").state == "closed") < 5


async def test_a_sole_provider_is_slowed_down_and_not_closed(make_desk: MakeDesk, first: Vendor) -> None:
    """Every third answer is empty, and then the server fails altogether for a while: no call is refused unasked."""
    first.answer = lambda asked: streamed() if len(first.chats) % 3 == 0 else yes(asked)
    desk = make_desk({"a": provider(first.url)})
    for _ in range(20):
        assert (await desk.ask()).message["content"] == "Yes."
    first.answer = lambda asked: refused(503)
    for _ in range(3):
        with pytest.raises(NoRouteError):
            await desk.ask()
    assert desk.status("a").state == "open"
    asked = len(first.chats)
    first.answer = yes
    watch = Stopwatch()
    done = await together(*[desk.ask] * 4)
    assert [one.message["content"] for one in done] == ["Yes."] * 4
    assert watch.is_within(5), watch
    assert len(first.chats) == asked + 4
    assert desk.status("a").state == "closed"


@pytest.mark.parametrize("wait", ["86400", "1893456000", "1893456000000"])
async def test_a_wait_that_cannot_be_meant_is_capped(make_desk: MakeDesk, first: Vendor, wait: str) -> None:
    first.answer = lambda asked: refused(503, retry_after=wait)
    desk = make_desk({"a": provider(first.url)})
    with pytest.raises(NoRouteError) as caught:
        await desk.ask()
    assert caught.value.retry_at is not None
    assert caught.value.retry_at - desk.clock.monotonic() <= 60


PRICES = {
    name: [{"name": "m", "inputUsdPerMillion": price, "outputUsdPerMillion": price}]
    for name, price in (("a", 1), ("b", 5))
}


@pytest.mark.parametrize(
    "passing",
    [
        lambda: refused(500),
        lambda: refused(429, retry_after_ms="300"),
        lambda: refused(429, "Rate limit reached. Please try again in 300ms."),
    ],
)
async def test_what_passes_in_a_moment_is_waited_out_unless_another_is_cheaper(
    make_desk: MakeDesk, first: Vendor, second: Vendor, passing: Callable[[], Response]
) -> None:
    first.answer = lambda asked: passing() if len(first.chats) == 1 else yes(asked)
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)}, models=PRICES)
    assert (await desk.ask()).route.provider == "a"
    second.answer = lambda asked: passing() if len(second.chats) == 1 else yes(asked)
    cheaper_behind = make_desk({"b": provider(second.url), "a": provider(first.url)}, models=PRICES)
    assert (await cheaper_behind.ask()).route.provider == "a"


def too_long(asked: Asked) -> Response:
    return refused(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded")


async def test_what_is_too_long_for_one_model_is_sent_to_one_that_reads_more(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = too_long
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    assert (await desk.ask()).route.provider == "b"
    second.answer = lambda asked: too_long(asked) if asked.body["model"] == "m" else yes(asked)
    models: dict[str, list[dict[str, Any]]] = {"b": [{"name": "m"}, {"name": "large", "contextTokens": 200_000}]}
    larger = make_desk({"a": provider(first.url), "b": provider(second.url)}, models=models)
    assert str((await larger.ask()).route) == "b/large"
    alone = make_desk({"a": provider(first.url)})
    with pytest.raises(RequestRefusedError, match="maximum context length"):
        await alone.ask()
    assert alone.status("a").state == "closed"


async def test_a_route_that_is_known_to_be_too_small_is_not_asked_again(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = too_long
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    long = {"messages": [{"role": "user", "content": "word " * 20_000}]}
    for _ in range(3):
        assert (await desk.ask(body=long)).route.provider == "b"
    assert len(first.chats) == 1
    first.answer = yes
    assert (await desk.ask(body=BODY)).route.provider == "a"


IN_THE_BODY = {
    "of vLLM": ({"object": "error", "message": "busy", "code": 503}, "overloaded"),
    "of Anthropic": ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "overloaded"),
    "of Google": ([{"error": {"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}}], "rate_limited"),
    "of MiniMax": ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "busy"}}, "overloaded"),
    "of OpenRouter": ({"choices": [{"error": {"code": 502, "message": "busy"}, "message": {}}]}, "overloaded"),
    "of a relay": ({"error": "busy", "code": 503}, "overloaded"),
}


@pytest.mark.parametrize(("body", "outcome"), IN_THE_BODY.values(), ids=IN_THE_BODY.keys())
async def test_an_error_under_status_200_is_known_as_one(
    make_desk: MakeDesk, first: Vendor, second: Vendor, body: object, outcome: str
) -> None:
    first.answer = lambda asked: as_json(body)
    desk = make_desk({"a": provider(first.url, streaming=False), "b": provider(second.url)})
    completion = await desk.ask()
    assert completion.route.provider == "b"
    assert {(one.outcome, one.detail) for one in completion.tries[:-1]} == {(outcome, "busy")}


async def test_an_answer_of_an_image_alone_is_an_answer(make_desk: MakeDesk, first: Vendor) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    first.answer = lambda asked: whole(None, images=[image])
    completion = await make_desk({"a": provider(first.url, streaming=False)}).ask()
    assert completion.message["images"] == [image]


async def late_to_begin(asked: Asked) -> Response:
    await anyio.sleep(20)
    return yes(asked)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_late_first_token_is_hedged_where_that_is_asked_for(
    make_desk: MakeDesk, first: Vendor, second: Vendor, streaming: bool
) -> None:
    told: list[str] = []

    async def on_chunk(chunk: Mapping[str, Any]) -> None:
        told.extend(choice["delta"].get("content") or "" for choice in chunk["choices"])

    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    for _ in range(8):
        await desk.ask(on_chunk)
    told.clear()
    first.answer = late_to_begin
    watch = Stopwatch()
    completion = await desk.ask(on_chunk if streaming else None, hedged=True)
    assert completion.route.provider == "b"
    assert watch.is_within(5), watch
    assert "".join(told) == ("Yes." if streaming else "")
    assert {desk.status(name).in_use for name in "ab"} == {0}
    with anyio.move_on_after(1.5):
        await desk.ask()
    assert len(second.chats) == 1, "nobody asked for it, and it may cost money"


async def test_hedges_are_bounded_and_a_refusal_ends_both_attempts(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=20), "b": provider(second.url, concurrency=20)})
    for _ in range(8):
        await desk.ask()
    first.answer, second.answer = late_to_begin, lambda asked: refused(400, "a field has a wrong value")
    with pytest.raises(RequestRefusedError):
        await desk.ask(hedged=True)
    second.answer = late_to_begin
    with anyio.move_on_after(2):
        await together(*[partial(desk.ask, hedged=True)] * 10)
    assert len(second.chats) <= 3
    assert {desk.status(name).in_use for name in "ab"} == {0}

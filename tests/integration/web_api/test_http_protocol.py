"""How requests are read, over real connections: what is too long is refused before it fills the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestration.web.exposure import MAX_HEAD_BYTES
from orchestration.web.http_protocol import http_protocol
from tests.support.patience import fail_after

PROTOCOLS = sorted({H11Protocol, http_protocol()}, key=lambda one: one.__name__)
pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)


async def length(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message.get("more_body"):
            break
    answer = str(len(body)).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def served(protocol: type[asyncio.Protocol]) -> AsyncIterator[int]:
    config = uvicorn.Config(
        length,
        http=protocol,
        port=0,
        lifespan="off",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await server.shutdown()


async def exchange(port: int, *parts: bytes) -> bytes:
    """Send the parts one by one, and return all that is answered until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.ensure_future(reader.read())
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.002)
            if reading.done():
                break
    except ConnectionError:
        pass
    try:
        with fail_after(5):
            return await reading
    except ConnectionError:
        return b""
    finally:
        writer.close()


def a_request(body: bytes = b"", *headers: bytes, last: bool = True) -> bytes:
    close = [b"connection: close"] if last else []
    lines = [b"POST / HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *close, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_requests_of_any_length_are_read_one_after_the_other(protocol: type[asyncio.Protocol]) -> None:
    long = b"x" * 1_000_000
    async with served(protocol) as port:
        answer = await exchange(port, a_request(long, last=False) + a_request(b"abc"))
        assert answer.count(b"200 OK") == 2
        assert answer.index(b"1000000") < answer.rindex(b"3")
        # In small parts, and with as much of a head as is allowed.
        whole = a_request(long[:5000], b"a: " + b"y" * (MAX_HEAD_BYTES - 1000))
        parts = [whole[start : start + 7000] for start in range(0, len(whole), 7000)]
        assert b"200 OK" in await exchange(port, *parts)


@pytest.mark.parametrize(
    "head",
    [
        b"a: " + b"y" * (MAX_HEAD_BYTES + 50_000),
        b"\r\n".join(b"a%d: %s" % (number, b"y" * 100) for number in range(1000)),
    ],
)
async def test_a_head_that_is_too_long_is_refused(protocol: type[asyncio.Protocol], head: bytes) -> None:
    async with served(protocol) as port:
        # h11 is content with a head that comes in one part, whatever its length.
        whole = a_request(b"", head)
        parts = [whole[start : start + 20_000] for start in range(0, len(whole), 20_000)]
        assert (await exchange(port, *parts)).startswith(b"HTTP/1.1 400")
        if protocol is not H11Protocol:
            assert (await exchange(port, whole)).startswith(b"HTTP/1.1 400")
        assert b"200 OK" in await exchange(port, a_request(b"abc"))


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\na: ", b"GET /", b"GET / HTTP/1.1\r\n"])
async def test_a_head_without_an_end_is_cut_off(protocol: type[asyncio.Protocol], begin: bytes) -> None:
    sent = 0

    def parts() -> list[bytes]:
        return [begin, *([b"y" * 10_000] * 100)]

    async with served(protocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.ensure_future(reader.read())
        for part in parts():
            if reading.done():
                break
            try:
                writer.write(part)
                await writer.drain()
            except ConnectionError:
                break
            sent += len(part)
            await asyncio.sleep(0.002)
        assert sent < 6 * MAX_HEAD_BYTES
        writer.close()
        await asyncio.gather(reading, return_exceptions=True)

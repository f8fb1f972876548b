"""Connections of our own against those of httpx: what one reads from the bytes of a server, the other reads, too."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.outbound import OutboundRule, OutboundTransport
from orchestration.tls import shared_tls_context

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
RESPONSES = {
    "whole": OK + b"content-length: 5\r\n\r\nhello",
    "empty": OK + b"content-length: 0\r\n\r\n",
    "chunked": OK + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\n\r\n",
    "chunked with a trailer": OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-after: 1\r\n\r\n",
    "until the end": OK + b"\r\nhello",
    "to be closed": OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an error": b"HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nbusy",
    "an interim answer before": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    + OK
    + b"content-length: 5\r\n\r\nhello",
    "line feeds alone": b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    "two headers of a name": OK + b"x-one: 1\r\nx-one: 2\r\ncontent-length: 5\r\n\r\nhello",
    "cut in the head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "cut in the body": OK + b"content-length: 50\r\n\r\nhello",
    "cut in a chunk": OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhel",
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "a head without an end": OK + b"x-long: " + b"a" * 200_000,
    "a length that is none": OK + b"content-length: five\r\n\r\nhello",
}
Seen = tuple[int, list[tuple[str, str]], bytes] | type[httpx2.HTTPError]


@contextlib.asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[str]:
    handling: set[asyncio.Task[None]] = set()

    async def handle_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            handling.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await handle(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    server = await asyncio.start_server(handle_one, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for task in handling:
        task.cancel()
    await asyncio.gather(*handling)


def client(*, busy: bool) -> httpx2.AsyncClient:
    transport = OutboundTransport(OutboundRule(), shared_tls_context(), busy=busy)
    return httpx2.AsyncClient(transport=transport, trust_env=False, timeout=httpx2.Timeout(None, connect=5))


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


async def seen(url: str, *, busy: bool) -> Seen:
    async with client(busy=busy) as one:
        try:
            response = await one.post(url, content=b"{}")
        except httpx2.HTTPError as error:
            return httpx2.NetworkError if isinstance(error, httpx2.NetworkError) else httpx2.ProtocolError
        return response.status_code, response.headers.multi_items(), response.content


@pytest.mark.parametrize("name", RESPONSES)
@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(1, 200), max_size=4))
def test_a_response_is_read_as_httpx_reads_it_however_its_bytes_are_cut(name: str, cuts: list[int]) -> None:
    response = RESPONSES[name]
    edges = sorted({0, len(response), *(cut for cut in cuts if cut < len(response))})

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for start, end in itertools.pairwise(edges):
            writer.write(response[start:end])
            await writer.drain()
            await asyncio.sleep(0)

    async def both() -> tuple[Seen, Seen]:
        async with serving(handle) as url:
            return await seen(url, busy=True), await seen(url, busy=False)

    ours, theirs = asyncio.run(both())
    assert ours == theirs


class _Counting:
    """Answers every request, and counts the connections and what comes after each answer."""

    def __init__(self, response: bytes = RESPONSES["whole"]) -> None:
        self.response = response
        self.connections = self.requests = 0
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await read_request(reader):
                self.requests += 1
                writer.write(self.response)
                await writer.drain()
        finally:
            self.ended.set()


async def test_a_connection_is_used_again_once_its_answer_is_read() -> None:
    server = _Counting()
    async with serving(server) as url, client(busy=True) as one:
        for _ in range(5):
            assert (await one.post(url, content=b"x" * 10_000)).content == b"hello"
        await asyncio.gather(*(one.post(url, content=b"") for _ in range(3)))
    assert (server.connections, server.requests) == (3, 8)


@pytest.mark.parametrize("name", ["to be closed", "HTTP/1.0"])
async def test_a_connection_that_the_server_ends_is_not_used_again(name: str) -> None:
    server = _Counting(RESPONSES[name])

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        await read_request(reader)
        writer.write(server.response)

    async with serving(once) as url, client(busy=True) as one:
        for _ in range(3):
            assert (await one.get(url)).content == b"hello"
    assert server.connections == 3


async def test_what_a_server_sends_unasked_is_never_the_answer_to_the_next_request() -> None:
    server = _Counting(RESPONSES["whole"] + OK + b"content-length: 6\r\n\r\nforged")
    async with serving(server) as url, client(busy=True) as one:
        assert [(await one.get(url)).content for _ in range(3)] == [b"hello"] * 3
    assert server.connections == 3


async def test_an_answer_that_is_given_up_ends_its_connection() -> None:
    server = _Counting(OK + b"content-length: 50\r\n\r\nhello")
    async with serving(server) as url, client(busy=True) as one:
        async with one.stream("GET", url) as response:
            assert await anext(response.aiter_raw()) == b"hello"
        await server.ended.wait()
        server.response = RESPONSES["whole"]
        assert (await one.get(url)).content == b"hello"
    assert server.connections == 2


async def test_a_request_that_is_cancelled_ends_its_connection() -> None:
    server = _Counting(b"")
    async with serving(server) as url, client(busy=True) as one:
        task = asyncio.create_task(one.get(url))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        await server.ended.wait()
        assert task.cancelled()


async def test_a_server_waits_for_a_reader_that_is_slower() -> None:
    size, sent = 64_000_000, 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(OK + b"content-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"a" * 100_000)
            sent += 100_000
            await writer.drain()

    async with serving(flood) as url, client(busy=True) as one, one.stream("GET", url) as response:
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < size
        received = 0
        async for part in response.aiter_raw():
            received += len(part)
    assert received == size


async def test_no_header_becomes_two() -> None:
    server = _Counting()
    async with serving(server) as url, client(busy=True) as one:
        with pytest.raises(httpx2.LocalProtocolError):
            await one.get(url, headers={"x-one": "1\r\nx-two: 2"})
    assert server.requests == 0

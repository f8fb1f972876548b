"""Clients that are slow or many on purpose, over real connections: each loses its connection, and nobody else does."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from orchestration.web import guarded_connection
from orchestration.web.connection_limits import ConnectionCounts, SlownessLimits, source_network
from orchestration.web.counted_listener import CountedListener
from orchestration.web.http_protocol import GuardedH11Protocol, http_protocol
from tests.support.certificates import CertificateFiles, own_certificate
from tests.support.patience import fail_after

_FAST = SlownessLimits(head=0.3, body=0.3, body_bytes=500, reading=0.3)
_LARGE = 20_000_000
_WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
_BODY = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    body = b"y" * _LARGE if scope["path"] == "/large" else b"ok"
    if scope["path"] == "/slow":
        await asyncio.sleep(1.2)  # our own slowness is not the client's
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(params=["h11", "httptools"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    monkeypatch.setattr(guarded_connection, "_LOOK_SECONDS", 0.05)
    made = http_protocol(_FAST)
    return made if request.param == "httptools" else type("H11", (GuardedH11Protocol,), dict(vars(made)))


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return own_certificate(tmp_path_factory.mktemp("certificate"))


@asynccontextmanager
async def served(protocol: type[Any], encrypted: CertificateFiles | None = None) -> AsyncIterator[int]:
    tls = {} if encrypted is None else {"ssl_certfile": encrypted.certificate, "ssl_keyfile": str(encrypted.key)}
    config = uvicorn.Config(answer, http=protocol, lifespan="off", log_config=None, access_log=False, **tls)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    await server.startup([CountedListener(listening, ConnectionCounts(40, 20), encrypted=bool(tls))])
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await server.shutdown()


async def ends(port: int, begin: bytes, drip: bytes = b"") -> bytes:
    """What the server says to a client that begins so and then drips, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.ensure_future(reader.read())
    try:
        with fail_after(10):
            writer.write(begin)
            while not reading.done():
                writer.write(drip)
                await asyncio.wait([reading], timeout=0.03)
            return await reading
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("begin", "drip", "said"),
    [
        (b"", b"", b""),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n", b"408"),
        (_BODY, b"z", b""),
        (_BODY, b"", b""),
    ],
    ids=["says nothing", "headers without end", "body by single bytes", "no body"],
)
async def test_a_client_that_does_not_finish_its_request_is_cut_off(
    protocol: type[Any], begin: bytes, drip: bytes, said: bytes
) -> None:
    async with served(protocol) as port:
        found = await ends(port, begin, drip)
        assert found == b"reset" or said in found
        assert b"200 OK" in await ends(port, _WHOLE), "others are served"


async def test_a_client_that_reads_nothing_of_a_large_response_is_cut_off(protocol: type[Any]) -> None:
    async with served(protocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        transport: Any = writer.transport
        transport.pause_reading()
        await asyncio.sleep(1.2)
        transport.resume_reading()
        received = 0
        with fail_after(10):
            try:
                while part := await reader.read(1_000_000):
                    received += len(part)
            except ConnectionError:
                pass
        writer.close()
        assert received < _LARGE


async def test_one_that_is_answered_slowly_keeps_its_connection(protocol: type[Any]) -> None:
    async with served(protocol) as port:
        slow = _WHOLE.replace(b"GET /", b"GET /slow")
        assert b"200 OK" in await ends(port, slow)


async def test_a_slow_body_that_goes_on_is_read_to_its_end(protocol: type[Any]) -> None:
    async with served(protocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_BODY.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        for _ in range(20):
            writer.write(b"z" * 5_000)
            await asyncio.sleep(0.05)
        with fail_after(10):
            assert b"200 OK" in await reader.read()
        writer.close()


async def test_one_source_gets_half_of_all_connections_and_gives_them_back(protocol: type[Any]) -> None:
    async with served(protocol) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        assert (await ends(port, b"")).startswith(b"HTTP/1.1 503")
        for _, writer in opened:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)
        with fail_after(10):
            while b"200 OK" not in await ends(port, _WHOLE):
                await asyncio.sleep(0.05)


async def test_a_handshake_that_is_never_done_counts_as_a_connection(
    protocol: type[Any], encrypted: CertificateFiles
) -> None:
    context = ssl.create_default_context(cafile=str(encrypted.certificate))

    async def is_served(port: int) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        except (OSError, ssl.SSLError):
            return False
        writer.write(_WHOLE)
        said = await reader.read()
        writer.close()
        return b"200 OK" in said

    async with served(protocol, encrypted) as port:
        assert await is_served(port)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        assert not await is_served(port), "the one source has its half"
        for _, writer in silent:
            writer.close()
        with fail_after(10):
            while not await is_served(port):
                await asyncio.sleep(0.05)


def test_counts_know_networks_and_leave_a_proxy_its_clients() -> None:
    counts = ConnectionCounts(8, 4, ("10.0.0.0/24",))
    assert [counts.open("2001:db8::/64") for _ in range(5)] == [True] * 4 + [False]
    assert [counts.open("10.0.0.7") for _ in range(5)] == [True] * 4 + [False], "the total holds for a proxy, too"
    counts.close("2001:db8::/64")
    assert counts.open("10.0.0.7")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "loopback"), ("127.200.3.4", "loopback"), ("::1", "loopback"), ("::ffff:127.9.9.9", "loopback"),
        ("2001:db8::1", "2001:db8::/64"), ("2001:db8:0:0:ffff::2", "2001:db8::/64"), ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"), ("", ""),
    ],
)  # fmt: skip
def test_what_counts_as_one_source(address: str, network: str) -> None:
    assert source_network(address) == network

"""Calls through a real proxy, to servers with a private CA, with certificates of our own, and over IPv6."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from orchestration.providers.failures import NoRouteError
from orchestration.proxies import problem_of
from tests.contract.gateway.conftest import MakeDesk
from tests.support.certificates import CertificateFiles, own_certificate
from tests.support.gateway import configuration, provider
from tests.support.vendor import Vendor

NAME = "models.example.org"
KEY = "a-key-that-no-proxy-may-see"
VARIABLES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A certificate that signs itself, for the servers and for us, and its key."""
    return own_certificate(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@dataclass
class Door:
    """A server that passes connections on to another one."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    seen: bytes = b""


async def joined(
    door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b""
) -> None:
    """Pass bytes on in both directions until one side has ended."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    far_writer.write(first)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            door.seen += data
            target.write(data)
            await target.drain()
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(pump, reader, far_writer)
            group.start_soon(pump, far_reader, writer)
    finally:
        far_writer.close()


@asynccontextmanager
async def listening(door: Door, handler: Any, **options: Any) -> AsyncIterator[Door]:
    at_work: set[asyncio.Task[None]] = set()

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except* (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_work.add(asyncio.create_task(work(reader, writer)))

    server = await asyncio.start_server(begin, options.pop("host", "127.0.0.1"), 0, **options)
    door.port = server.sockets[0].getsockname()[1]
    try:
        yield door
    finally:
        server.close()
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)
        await asyncio.sleep(0.05)  # the transports say goodbye to each other


@asynccontextmanager
async def encrypted(first: Vendor, certificate: tuple[Path, Path], *, mutual: bool = False) -> AsyncIterator[Door]:
    """The vendor behind TLS; with `mutual`, for clients that have a certificate, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
    door, port = Door(), urlsplit(first.url).port or 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await joined(door, reader, writer, port)

    async with listening(door, handle, ssl=context):
        yield door


@asynccontextmanager
async def a_proxy(port: int) -> AsyncIterator[Door]:
    """A proxy behind which every host is the server at this port."""
    door = Door()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        door.heads.append(head.decode())
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await joined(door, reader, writer, port)
        else:
            await joined(door, reader, writer, port, head.replace(f"http://{NAME}".encode(), b"", 1))

    async with listening(door, handle):
        yield door


async def said(desk: Any) -> Any:
    return (await desk.ask()).message["content"]


async def test_a_private_ca_has_to_be_named_and_a_file_that_was_mended_counts(
    make_desk: MakeDesk, first: Vendor, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    async with encrypted(first, certificate) as door:
        url = f"https://localhost:{door.port}"
        with pytest.raises(NoRouteError, match=r"its certificate is not trusted .*name its CA in caFile"):
            await make_desk({"own": provider(url)}).ask()
        assert first.asked == []
        file = tmp_path / "ca.pem"
        breaker = {"failures": 50}
        desk = make_desk({"own": provider(url, caFile=str(file), breaker=breaker)})
        with pytest.raises(NoRouteError, match=r"certificates in .*ca\.pem cannot be used: No such file"):
            await desk.ask()
        file.write_bytes(certificate[0].read_bytes())
        desk = make_desk({"own": provider(url, caFile=str(file), breaker=breaker)})
        assert await said(desk) == "Yes."


async def test_a_server_that_asks_for_a_certificate_is_shown_ours(
    make_desk: MakeDesk, first: Vendor, certificate: tuple[Path, Path]
) -> None:
    ca = {"caFile": str(certificate[0])}
    ours = {"certificateFile": str(certificate[0]), "keyFile": str(certificate[1])}
    async with encrypted(first, certificate, mutual=True) as door:
        url = f"https://localhost:{door.port}"
        with pytest.raises(NoRouteError):
            await make_desk({"own": provider(url, **ca)}).ask()
        assert first.chats == []
        assert await said(make_desk({"own": provider(url, **ca, **ours)})) == "Yes."


async def test_the_usual_variables_lead_encrypted_calls_through_a_proxy_that_sees_neither_key_nor_content(
    make_desk: MakeDesk, first: Vendor, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with encrypted(first, certificate) as door, a_proxy(door.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:word@127.0.0.1:{proxy.port}")
        settings = provider(f"https://{NAME}", caFile=str(certificate[0]), apiKeyEnv="KEY", timeouts={"connect": 1})
        desk = make_desk({"own": settings}, desk={"credentials": {"KEY": KEY}})
        assert await said(desk) == "Yes."
        assert first.chats[0].headers["authorization"] == f"Bearer {KEY}"
        (head,) = set(proxy.heads)
        assert head.startswith(f"CONNECT {NAME}:443 HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic dXNlcjp3b3Jk" in head
        assert KEY not in head
        assert KEY.encode() not in proxy.seen
        assert b"Yes." not in proxy.seen
        before = len(proxy.heads)
        # Whom the exception names, or the configuration, is asked directly, and cannot be found.
        monkeypatch.setenv("NO_PROXY", "example.org")
        with pytest.raises(NoRouteError):
            await make_desk({"own": {**settings, "apiKeyEnv": "KEY"}}, desk={"credentials": {"KEY": KEY}}).ask()
        monkeypatch.delenv("NO_PROXY")
        with pytest.raises(NoRouteError):
            await make_desk({"own": {**settings, "proxy": "none"}}, desk={"credentials": {"KEY": KEY}}).ask()
        assert len(proxy.heads) == before


async def test_what_is_not_encrypted_goes_only_through_a_proxy_that_the_configuration_names(
    make_desk: MakeDesk, first: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_proxy(urlsplit(first.url).port or 0) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
        # On this machine, or in its network, no proxy is asked.
        assert await said(make_desk({"own": provider(first.url)})) == "Yes."
        assert proxy.heads == []
        assert await said(make_desk({"own": provider(f"http://{NAME}", proxy=address)})) == "Yes."
        assert proxy.heads[0].startswith(f"POST http://{NAME}/v1/chat/completions HTTP/1.1\r\n")


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.google.internal", "[fd00:ec2::254]"])
async def test_no_proxy_leads_to_the_metadata_of_a_cloud(make_desk: MakeDesk, first: Vendor, host: str) -> None:
    async with a_proxy(urlsplit(first.url).port or 0) as proxy:
        desk = make_desk({"own": provider(f"http://{host}", proxy=f"http://127.0.0.1:{proxy.port}")})
        with pytest.raises(NoRouteError):
            await desk.ask()
        assert proxy.heads == []
        assert first.asked == []


async def test_a_provider_is_reached_over_ipv6(make_desk: MakeDesk, first: Vendor) -> None:
    if not socket.has_ipv6:
        pytest.skip("NOT TESTED: this machine has no IPv6")
    door, port = Door(), urlsplit(first.url).port or 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await joined(door, reader, writer, port)

    try:
        async with listening(door, handle, host="::1"):
            assert await said(make_desk({"own": provider(f"http://[::1]:{door.port}")})) == "Yes."
    except OSError as error:
        pytest.skip(f"NOT TESTED: IPv6 is switched off ({error})")


@pytest.mark.parametrize("address", ["ftp://user:word@corp", "corp:3128", "http://", "http://user:word@corp:no"])
def test_what_is_no_address_of_a_proxy_is_refused_without_its_password(address: str) -> None:
    problem = problem_of(address)
    assert problem is not None
    assert "expected http://HOST:PORT, https://HOST:PORT or none, got " in problem
    assert "word" not in problem
    with pytest.raises(ValueError, match="expected http://HOST:PORT"):
        configuration({"own": provider("http://127.0.0.1", proxy=address)})

"""Addresses of others that lead into our own network: refused when connecting, by whatever name and way."""

from __future__ import annotations

import gzip
import ipaddress
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import outbound
from orchestration.app.oncall_calendars import OnCallCalendarReader
from orchestration.clock import SystemClock
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import OnCallCalendar
from orchestration.incidents.icalendar_feed import CalendarError
from orchestration.monitoring.health import service_status
from orchestration.monitoring.health.dead_man_switch import DeadManSwitch
from orchestration.notifications.channels.channel import DeliveryError
from orchestration.notifications.channels.http import HttpPoster
from orchestration.outbound import BlockedAddressError, OutboundRule, OutboundTransport
from orchestration.tls import shared_tls_context

EVIL = "evil.example"


class Target:
    """A service of ours that nobody outside must reach; it counts the connections that it gets."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections = 0
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        self.connections += 1
        async with stream:
            await stream.receive()
            await stream.send(self.answer)


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    found = Target(f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, found.serve)
        yield found
        group.cancel_scope.cancel()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names lead to, as their owner decides; the first address once, the others from then on."""
    known: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in known:
            addresses = known[name]
            host = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


PRIVATE = ["127.0.0.1", "127.9.9.9", "10.0.0.7", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
           "0.0.0.0", "::1", "::", "fe80::1", "fd00:ec2::254", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
           "2002:7f00:1::", "2002:808:808::", "2001:0:808:808::1", "::127.0.0.1", "::a9fe:a9fe", "::ffff:0:7f00:1",
           "64:ff9b:1::7f00:1", "64:ff9b::a9fe:a9fe", "fec0::1", "3fff::1", "5f00::1", "2001:db8::1", "100::1",
           "192.0.0.8", "192.88.99.1", "198.18.0.1", "240.0.0.1", "ff02::1", "::ffff:169.254.169.254",
           "224.0.0.1", "255.255.255.255"]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_public_name_must_not_lead_to_a_private_address(address: str) -> None:
    assert not OutboundRule().allows("hooks.example.com", address)
    assert not OutboundRule(hosts=frozenset({"hooks.example.com"})).allows("hooks.example.com", address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_what_is_public_is_called(address: str) -> None:
    assert OutboundRule().allows("hooks.example.com", address)


@given(st.ip_addresses() | st.ip_addresses(v=6, network="2002::/16") | st.ip_addresses(v=6, network="2001::/23"))
def test_what_is_not_public_is_refused_whatever_it_is(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if not address.is_global:
        assert not OutboundRule().allows("hooks.example.com", str(address))


def test_what_is_private_as_it_is_written_is_meant() -> None:
    for host in ("127.0.0.1", "localhost", "ollama", "10.0.0.7", "chat.internal", "alertmanager.monitoring.svc"):
        assert OutboundRule().allows(host, "10.0.0.7"), host
    for rule in (OutboundRule(), OutboundRule(private=True)):
        assert not rule.allows("169.254.169.254", "169.254.169.254")
        assert not rule.allows("metadata.google.internal", "169.254.169.254")
    assert OutboundRule(private=True).allows("models.example.com", "10.0.0.7")


async def test_a_webhook_whose_name_leads_here_is_not_called(target: Target, names: dict[str, list[str]]) -> None:
    names[EVIL] = ["127.0.0.1"]
    poster = HttpPoster(SystemClock(), ChannelSettings(type="webhook"))
    with pytest.raises(DeliveryError, match=r"leads to 127\.0\.0\.1, which is a private address") as caught:
        await poster.post_json(f"http://{EVIL}:{target.port}/", {})
    await poster.aclose()
    assert (caught.value.permanent, target.connections) == (True, 0)
    await HttpPoster(SystemClock(), ChannelSettings(type="webhook")).post_json(target.url, {})
    meant = HttpPoster(SystemClock(), ChannelSettings(type="webhook", private_network=True))
    await meant.post_json(f"http://{EVIL}:{target.port}/", {})
    assert target.connections == 2


async def test_a_name_that_changes_between_check_and_connection_gains_nothing(
    target: Target, names: dict[str, list[str]]
) -> None:
    """The name is resolved once; a second answer, which leads here, is never asked for."""
    names[EVIL] = ["192.0.2.1", "127.0.0.1"]
    monkeyed = OutboundRule()
    seen: list[str] = []

    class Rule:
        def allows(self, host: str, address: str) -> bool:
            seen.append(address)
            return address == "192.0.2.1" or monkeyed.allows(host, address)

    transport = OutboundTransport(Rule(), shared_tls_context())  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, timeout=0.3) as client:
        with pytest.raises(httpx2.TransportError):
            await client.get(f"http://{EVIL}:{target.port}/")
    assert (seen, target.connections) == (["192.0.2.1"], 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", EVIL, "[::ffff:127.0.0.1]"])
async def test_a_redirect_into_our_network_is_not_followed(
    target: Target, names: dict[str, list[str]], host: str
) -> None:
    """By a calendar and by a status page, whose servers are where the configuration says."""
    names[EVIL] = ["127.0.0.1"]
    names["public.example"] = ["127.0.0.1"]
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    lead = f"HTTP/1.1 302 Found\r\nLocation: http://{host}:{target.port}/\r\nContent-Length: 0\r\n\r\n"

    async def redirect(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(lead.encode())

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, redirect)
        url = f"http://public.example:{port}/feed.ics"
        with pytest.raises(httpx2.ConnectError) as caught:
            await service_status._fetched(url, private=True)
        assert isinstance(caught.value.__cause__, BlockedAddressError)
        reader = object.__new__(OnCallCalendarReader)
        with pytest.raises(CalendarError, match="private address"):
            await reader._fetch(OnCallCalendar(url=url, private_network=True))
        group.cancel_scope.cancel()
    assert target.connections == 0


async def test_the_dead_mans_switch_is_held_to_it_too(target: Target, names: dict[str, list[str]]) -> None:
    names[EVIL] = ["127.0.0.1"]
    assert not await DeadManSwitch(lambda: f"http://{EVIL}:{target.port}/", lambda: True).ping()
    assert target.connections == 0
    assert await DeadManSwitch(lambda: f"http://{EVIL}:{target.port}/", lambda: True, lambda: True).ping()


async def test_every_client_of_this_package_is_checked() -> None:
    """A new client must not be forgotten."""
    package = Path(outbound.__file__).parent
    allowed = {"client.py", "rehearsal_process.py", "security.py", "tls.py", "outbound.py"}  # of servers of ours
    for path in package.rglob("*.py"):
        text = path.read_text()
        of_ours = path.name in allowed or path.is_relative_to(package / "web" / "mcp")
        if "AsyncClient(" in text and not of_ours:
            assert text.count("httpx2.AsyncClient(") == text.count("OutboundTransport("), path


async def test_a_compressed_bomb_is_put_aside_early(target: Target) -> None:
    bomb = gzip.compress(b"0" * 200_000_000, 9)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\nConnection: close\r\n\r\n"
    target.answer = head.encode() + bomb
    largest = 0
    transport = OutboundTransport(OutboundRule(), shared_tls_context())
    async with httpx2.AsyncClient(transport=transport) as client, client.stream("GET", target.url) as response:
        async for part in response.aiter_bytes():
            largest = max(largest, len(part))
            if largest > 500_000:
                break
    assert 0 < largest < 2_000_000
    with pytest.raises(ValueError, match="too large"):
        await service_status._fetched(target.url, private=False)

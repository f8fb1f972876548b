"""The way of an isolated command to the hosts that it may reach, and to no other.

A command has a network of its own with nothing in it but its loopback. Its init process hands us a port there, on which
we serve as a proxy: we read which host is asked for, and connect to it, in our own network, if a rule permits that and
its name does not lead into a private network. The content of encrypted connections passes through unread.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpcore2

from orchestration.domain.host_rule import HostRule, permitting
from orchestration.events.agents import HostsReached
from orchestration.outbound import OutboundRule, permitted_addresses

# By which programs find a proxy: https://curl.se/docs/manpage.html#ENVIRONMENT.
ADDRESS_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_MOST_HEAD_BYTES = 32 * 1024
_HEAD_SECONDS = 30.0
_CONNECT_SECONDS = 15.0
_PIECE = 64 * 1024
_MOST_AT_ONCE = 64
_REQUEST = re.compile(rb"(?P<method>[A-Z]{1,20}) (?P<target>\S{1,8000}) HTTP/1\.[01]\r\n")
# Headers between the command and this proxy, which are nobody else's business (RFC 9110, 7.6.1).
_HOP = re.compile(rb"(?im)^(?:proxy-[a-z-]+|connection|keep-alive):[^\r\n]*\r\n")


@dataclass(frozen=True, slots=True)
class HostUse:
    """How often a command has reached for a host at a port, and whether it was permitted."""

    host: str
    port: int
    permitted: bool
    times: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" + (f" ({self.times} times)" if self.times > 1 else "")


def hosts_reached(uses: Sequence[HostUse]) -> HostsReached:
    """The event about the hosts that a command has reached for."""
    permitted = tuple(str(use) for use in uses if use.permitted)
    return HostsReached(permitted, tuple(str(use) for use in uses if not use.permitted))


class _RefusedError(Exception):
    """A connection is not made; the text says why."""


def variables() -> dict[str, str]:
    """The environment by which programs find the proxy; `{port}` stands for its port."""
    here = {"no_proxy": "localhost,127.0.0.1", "NO_PROXY": "localhost,127.0.0.1"}
    return {**dict.fromkeys(ADDRESS_VARIABLES, "http://127.0.0.1:{port}"), **here}


class NetworkGate:
    """Carries the connections of one command."""

    def __init__(self, rules: Sequence[HostRule]) -> None:
        self._rules = tuple(rules)
        self._uses: Counter[tuple[str, int, bool]] = Counter()
        self._at_work: set[asyncio.Task[None]] = set()

    @property
    def uses(self) -> tuple[HostUse, ...]:
        """The hosts that were reached for so far, in the order of their names."""
        return tuple(HostUse(*key, times) for key, times in sorted(self._uses.items()))

    async def serve(self, listening: socket.socket) -> None:
        """Serve the command on a port that it reaches, until cancelled."""
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while True:
                connection, _ = await loop.sock_accept(listening)
                self._begin(connection)
        finally:
            for task in self._at_work:
                task.cancel()
            await asyncio.gather(*self._at_work, return_exceptions=True)

    def _begin(self, connection: socket.socket) -> None:
        if len(self._at_work) >= _MOST_AT_ONCE:
            connection.close()
            return
        task = asyncio.create_task(self._serve(connection))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection, limit=_MOST_HEAD_BYTES)
        try:
            await self._carry(reader, writer)
        except* (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the command has hung up, or talks nonsense
        finally:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with anyio.fail_after(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            host, port, first = _target(head)
            far_reader, far_writer = await self._connected(host, port)
        except _RefusedError as refusal:
            writer.write(_answer(403, "Forbidden", str(refusal)))
            await writer.drain()
            return
        except (OSError, TimeoutError, httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            writer.write(_answer(502, "Bad Gateway", f"{host} cannot be reached: {str(error) or type(error).__name__}"))
            await writer.drain()
            return
        if first:
            far_writer.write(first)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await _join(reader, writer, far_reader, far_writer)
        finally:
            far_writer.close()

    async def _connected(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        permitted = True
        try:
            addresses = await self._permitted(host, port)
        except _RefusedError:
            permitted = False
            raise
        finally:
            self._uses[host, port, permitted] += 1
        with anyio.fail_after(_CONNECT_SECONDS):
            return await asyncio.open_connection(addresses[0], port)

    async def _permitted(self, host: str, port: int) -> list[str]:
        rule = permitting(self._rules, host, port)
        if rule is None:
            raise _RefusedError(f"commands may not reach {host}:{port}; permit it in runtime.commands.hosts")
        # A name that is private as it is written, and was written by the operator, may be private.
        outbound = OutboundRule(hosts=frozenset() if rule.below else frozenset({rule.name}))
        addresses = await permitted_addresses(outbound, host, port, _CONNECT_SECONDS)
        if not addresses:
            raise _RefusedError(f"the name {host} leads to a private address")
        return addresses


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Pass bytes on in both directions until both sides have ended theirs, or one is gone."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(_PIECE):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()

    async with anyio.create_task_group() as group:
        group.start_soon(pump, reader, far_writer)
        group.start_soon(pump, far_reader, writer)


def _target(head: bytes) -> tuple[str, int, bytes]:
    """Host and port that a request is for, and what is passed on of its head. Raises _RefusedError."""
    found = _REQUEST.match(head)
    if found is None:
        raise _RefusedError("this is a proxy for HTTP, and that was no request")
    target = found["target"].decode("latin-1")
    tunnel = found["method"] == b"CONNECT"
    try:
        parts = urlsplit(f"//{target}" if tunnel else target)
        host, port = parts.hostname or "", parts.port or (443 if tunnel else 80)
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if not host or (not tunnel and parts.scheme != "http"):
        raise _RefusedError("expected CONNECT HOST:PORT, or a request for http://HOST")
    if tunnel:
        return host, port, b""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    line = b"%b %b HTTP/1.1\r\n" % (found["method"], path.encode("latin-1"))
    # One request for each connection: a second one on it could be for another host.
    rest = _HOP.sub(b"", head[found.end() : -2]) + b"Connection: close\r\n\r\n"
    return host, port, line + rest


def _answer(status: int, phrase: str, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body

"""Connections to servers by HTTP/1.1, kept for the next request, for those who send many.

They do what httpx's own pool does, in a fifth of the processor time: one packet out and one in are one call of the
event loop each, and httptools reads the answers. What may be connected to is decided by the caller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, cast

import httptools
import httpx2

# Returns the addresses of a host that may be connected to, in order. Raises httpx2.ConnectError and ConnectTimeout.
ResolveAddresses = Callable[[str, int, float | None], Awaitable[list[str]]]
Origin = tuple[str, str, int]

# As httpx has it: a server that never ends its headers must not fill the memory.
_MAX_HEAD_BYTES = 100 * 1024
# So much of an answer may wait to be read before the server has to wait, too.
_MAX_WAITING_BYTES = 256 * 1024
_PORTS = {"http": 80, "https": 443}


class HttpConnection(asyncio.Protocol):
    """One connection, with one request at a time. The methods that begin with `on_` are called by the parser."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._parts: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._head_bytes = 0
        self._paused = False
        self._answering = self._in_body = self._until_close = False
        self._keeps_alive = True
        self._error: httpx2.HTTPError | None = None
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent."""
        return self._keeps_alive and not (self._answering or self._closed or self._error)

    async def send(self, request: bytes) -> None:
        """Send a request, and return when the head of the answer is there. Raises httpx2.HTTPError."""
        self._parser = httptools.HttpResponseParser(self)
        # As tolerant as httpx: of servers that end lines with a line feed alone, and of what comes after the last
        # answer of a connection.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True, lenient_optional_cr_before_lf=True)
        self._answering, self._in_body, self._head_bytes = True, False, 0
        if self._transport is not None and not self._closed:
            self._transport.write(request)
        while not self._in_body:
            await self._more()

    async def read(self) -> bytes:
        """What has come of the body; empty at its end. Raises httpx2.HTTPError."""
        while not self._parts and self._answering:
            await self._more()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._waiting_bytes = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def close(self) -> None:
        """Close; what has not been sent or read yet is lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._answering:
            # Nobody has asked for it, so whatever follows would be taken for the answer to another request.
            self._fail(httpx2.RemoteProtocolError("the server sent something without a request"))
            return
        self._head_bytes += 0 if self._in_body else len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx2.RemoteProtocolError(f"what the server sent is no HTTP: {error}"))
        if self._head_bytes > _MAX_HEAD_BYTES and not self._in_body:
            self._fail(httpx2.RemoteProtocolError("the head of the answer has no end"))
        self._wake()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        self._end(error)

    def on_message_begin(self) -> None:
        if self._in_body:
            self._keeps_alive = False  # a second answer to one request
            return
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._in_body or (100 <= status < 200 and status != 101):
            return  # an interim answer, which the true one follows
        self.status, self._in_body, self._head_bytes = status, True, 0
        self._keeps_alive = self._keeps_alive and self._parser.should_keep_alive()
        names = {name.lower() for name, _ in self.headers}
        self._until_close = names.isdisjoint((b"content-length", b"transfer-encoding"))

    def on_body(self, data: bytes) -> None:
        if not self._answering:
            return
        self._parts.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _MAX_WAITING_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._in_body:
            self._answering = False

    def _end(self, error: Exception | None) -> None:
        """The server has closed the connection, or it broke."""
        if self._answering:
            if self._in_body and self._until_close and error is None:
                self._answering = self._keeps_alive = False
            elif error is not None and not isinstance(error, ssl.SSLError):
                self._fail(httpx2.ReadError(str(error) or type(error).__name__))
            elif self._in_body:
                self._fail(httpx2.RemoteProtocolError("the server closed the connection in the middle of its answer"))
            else:
                self._fail(httpx2.RemoteProtocolError("the server closed the connection without an answer"))
        self._keeps_alive = False
        self._wake()

    def _fail(self, error: httpx2.HTTPError) -> None:
        self._error = self._error or error
        self.close()
        self._wake()

    async def _more(self) -> None:
        """Wait until something has changed."""
        if self._error is not None:
            raise self._error
        if self._closed:
            raise httpx2.RemoteProtocolError("the server closed the connection without an answer")
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class PooledConnections(NamedTuple):
    """Connections that carry a request, and those that are kept for the next one."""

    busy: int = 0
    idle: int = 0

    def plus(self, other: PooledConnections) -> PooledConnections:
        """Those of both."""
        return PooledConnections(self.busy + other.busy, self.idle + other.idle)


class HttpConnections:
    """The connections to any number of servers; those that are not in use are kept for a while."""

    def __init__(self, context: ssl.SSLContext, resolve: ResolveAddresses, keep: int, keep_seconds: float) -> None:
        """Keep so many connections, each for so many seconds after its last request."""
        self._context = context
        self._resolve = resolve
        self._keep = keep
        self._keep_seconds = keep_seconds
        self._idle: dict[Origin, deque[HttpConnection]] = {}
        self._all: set[HttpConnection] = set()
        # As httpx does: a server must not choose a version that is not spoken here.
        context.set_alpn_protocols(["http/1.1"])

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; returns the response as soon as its body begins. Raises httpx2.HTTPError."""
        content = await request.aread()
        url = request.url
        origin = url.scheme, url.host, url.port or _PORTS[url.scheme]
        data = _head(request) + content
        connection = self._kept(origin) or await self._connected(origin, request)
        self._all.add(connection)
        try:
            await connection.send(data)
        except BaseException:
            self._discard(connection)
            raise
        return httpx2.Response(
            connection.status,
            headers=connection.headers,
            stream=_Body(connection, lambda: self._give(connection, origin)),
        )

    @property
    def counts(self) -> PooledConnections:
        """How many there are."""
        kept = [connection for origin in self._idle.values() for connection in origin]
        return PooledConnections(len(self._all) - len(kept), sum(map(self._is_fresh, kept)))

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in tuple(self._all):
            self._discard(connection)
        self._idle.clear()
        # The event loop closes their sockets in its next round, which must not be after its end.
        await asyncio.sleep(0)

    def _kept(self, origin: Origin) -> HttpConnection | None:
        """The connection that was used last, of those that can be used once more."""
        loop = asyncio.get_running_loop()
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()
            if connection.loop is loop and self._is_fresh(connection):
                return connection
            self._discard(connection)
        return None

    def _is_fresh(self, connection: HttpConnection) -> bool:
        return connection.is_usable and connection.loop.time() - connection.idle_since < self._keep_seconds

    def _give(self, connection: HttpConnection, origin: Origin) -> None:
        """Keep a connection whose answer has been read, or close it."""
        if connection not in self._all:
            return
        if not connection.is_usable:
            self._discard(connection)
            return
        connection.idle_since = connection.loop.time()
        kept = self._idle.setdefault(origin, deque())
        kept.append(connection)
        while kept and (len(kept) > self._keep or connection.idle_since - kept[0].idle_since >= self._keep_seconds):
            self._discard(kept.popleft())

    def _discard(self, connection: HttpConnection) -> None:
        self._all.discard(connection)
        connection.close()

    async def _connected(self, origin: Origin, request: httpx2.Request) -> HttpConnection:
        """A new connection, to the first address that answers."""
        scheme, host, port = origin
        seconds: float | None = request.extensions.get("timeout", {}).get("connect")
        addresses = await self._resolve(host, port, seconds)
        failed: httpx2.HTTPError = httpx2.ConnectError("the name has no address")
        for address in addresses:
            try:
                async with asyncio.timeout(None if seconds is None else seconds / len(addresses)):
                    return await self._connect(scheme, host, address, port)
            except TimeoutError as error:
                failed = httpx2.ConnectTimeout(f"no connection to {address} within {seconds:g} s")
                failed.__cause__ = error
            except (OSError, ssl.SSLError) as error:
                failed = httpx2.ConnectError(str(error))
                failed.__cause__ = error
        raise failed

    async def _connect(self, scheme: str, host: str, address: str, port: int) -> HttpConnection:
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {"ssl": self._context, "server_hostname": host} if scheme == "https" else {}
        _, connection = await loop.create_connection(lambda: HttpConnection(loop), address, port, **tls)
        return connection


class _Body(httpx2.AsyncByteStream):
    def __init__(self, connection: HttpConnection, give: Callable[[], None]) -> None:
        self._connection = connection
        self._give = give

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._connection.read():
            yield data

    async def aclose(self) -> None:
        self._give()


def _head(request: httpx2.Request) -> bytes:
    """The request line and the headers. Raises LocalProtocolError for what would become a line of its own."""
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        raise httpx2.LocalProtocolError("a header of the request has a line break")
    return b"\r\n".join([*lines, b"", b""])

"""The way to a server: its process or its address, with limits on what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse

from orchestration.agents.mcp.server_process import MOST_MESSAGE_BYTES
from orchestration.outbound import OutboundRule, OutboundTransport
from orchestration.tls import shared_tls_context

_CONNECT_SECONDS = 10.0
# A server may hold an answer back while it works; the limit of the call ends that sooner.
_READ_SECONDS = 300.0


class AnswerTooLargeError(Exception):
    """A server has sent more than anybody could read."""


@asynccontextmanager
async def http_streams(url: str, headers: Mapping[str, str]) -> AsyncGenerator[TransportStreams, None]:
    """The transport to a server with an address (Streamable HTTP)."""
    # A server of tools is in one's own network more often than not; a metadata service is none.
    transport = _LimitedTransport(OutboundTransport(OutboundRule(private=True), shared_tls_context()))
    timeout = httpx2.Timeout(_CONNECT_SECONDS, read=_READ_SECONDS)
    async with (
        httpx2.AsyncClient(transport=transport, headers=dict(headers), timeout=timeout, trust_env=False) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MOST_MESSAGE_BYTES) as streams,
    ):
        yield streams


@asynccontextmanager
async def guarded(
    transport: AbstractAsyncContextManager[TransportStreams], ended: asyncio.Event
) -> AsyncGenerator[TransportStreams, None]:
    """A transport whose messages are cleaned; `ended` is set when the server is gone."""
    async with transport as (received, outgoing):
        cleaned, handed_on = anyio.create_memory_object_stream[SessionMessage | Exception](0)

        async def pump() -> None:
            async with cleaned:
                try:
                    async for message in received:
                        await cleaned.send(_without_output_schemas(message))
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    pass
                finally:
                    ended.set()

        async with anyio.create_task_group() as group, handed_on:
            group.start_soon(pump)
            try:
                yield handed_on, outgoing
            finally:
                group.cancel_scope.cancel()


def _without_output_schemas(message: SessionMessage | Exception) -> SessionMessage | Exception:
    """The list of tools without the schemas of results: the SDK would hold each result against one, in this process,
    and a hostile pattern takes for ever
    (https://owasp.org/www-community/attacks/Regular_expression_Denial_of_Service_-_ReDoS)."""
    if isinstance(message, SessionMessage) and isinstance(message.message, JSONRPCResponse):
        result: Any = message.message.result
        if isinstance(result, dict) and isinstance(tools := result.get("tools"), list):
            for tool in tools:
                if isinstance(tool, dict):
                    tool.pop("outputSchema", None)
    return message


class _LimitedTransport(httpx2.AsyncBaseTransport):
    """HTTP with a limit on the size of an answer; streams of events have one for each event."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return response
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_LimitedStream(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _LimitedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._inner:
            seen += len(part)
            if seen > MOST_MESSAGE_BYTES:
                raise AnswerTooLargeError(f"it sent an answer of more than {MOST_MESSAGE_BYTES:,} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()

"""The server over HTTP, at `/mcp` of the dashboard's server (Streamable HTTP, without sessions)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx2
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestration.web.auth_middleware import MCP
from orchestration.web.problems import problem

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from orchestration.web.mcp.server import Context

# What makes the inner request one of the same caller. Nothing else is passed on.
_PASSED_ON = ("authorization", "host")


class McpEndpoint:
    """Hands requests to the SDK, whose tools call the application again, with the caller's own rights.

    The SDK is imported with the first request: it takes half a second, and most servers are never asked.
    """

    def __init__(self, openapi: Callable[[], Mapping[str, Any]]) -> None:
        """`openapi` returns the description of the API."""
        self._openapi = openapi
        self._application: ASGIApp | None = None

    def routes(self) -> list[BaseRoute]:
        return [Route(MCP, self)]

    def serve(self, application: ASGIApp) -> None:
        """Name the application that the inner requests go to: the whole one, with its authentication."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if find_spec("mcp") is None:
            refusal = problem(501, "This server has no MCP endpoint. Install agent-orchestration[mcp], and restart it.")
            await refusal(scope, receive, send)
            return
        # One manager for each request: without sessions it keeps nothing, and it ends with its request in any case.
        async with self._managed() as manager:
            await manager.handle_request(scope, receive, send)

    @asynccontextmanager
    async def _managed(self) -> AsyncIterator[StreamableHTTPSessionManager]:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from orchestration.web.mcp.server import build_server

        server = build_server(self._openapi(), self._client_of)
        manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)
        async with manager.run():
            yield manager

    def _client_of(self, context: Context) -> httpx2.AsyncClient:
        request = context.request
        headers = {name: request.headers[name] for name in _PASSED_ON if request and name in request.headers}
        client = (request.client.host, request.client.port) if request and request.client else ("127.0.0.1", 0)
        transport = httpx2.ASGITransport(app=self._application, client=client)  # type: ignore[arg-type]
        base = f"http://{headers.get('host', '127.0.0.1')}"
        return httpx2.AsyncClient(transport=transport, base_url=base, headers=headers, timeout=None)

"""The server over standard input and output, for agents on a machine: it speaks for a running server."""

from __future__ import annotations

import httpx2
from mcp.server.stdio import stdio_server

from orchestration.client import RefusedError, UnreachableError
from orchestration.errors import UsageError
from orchestration.tls import shared_tls_context
from orchestration.web.mcp.server import build_server

# Longer than any answer of the API takes, since work is started and not waited for.
_SECONDS = 60.0


async def serve_stdio(url: str, token: str | None) -> None:
    """Serve until the standard input ends. Raises UsageError, UnreachableError and RefusedError for a server that
    cannot be used."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"expected a server's address such as https://host:8642, got '{url}'")
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def client() -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=url.rstrip("/"), headers=headers, timeout=_SECONDS, verify=shared_tls_context()
        )

    try:
        async with client() as first:
            response = await first.get("/api/v1/openapi.json")
    except httpx2.HTTPError as error:
        raise UnreachableError(
            f"expected an answer from {url}, got none: {str(error) or type(error).__name__}; see that `orchestrator "
            "serve` runs there"
        ) from error
    if response.status_code != 200:
        raise RefusedError(
            f"{url} answered with {response.status_code}. Put a token of it into ORCHESTRATOR_TOKEN: `orchestrator "
            "tokens create NAME`.",
            response.status_code,
        )
    server = build_server(response.json(), lambda _: client())
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())

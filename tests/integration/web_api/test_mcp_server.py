"""Our MCP server, used by the SDK's own client: over HTTP, and over standard input and output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("mcp")

import httpx2
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from orchestration.security.principal import Role
from orchestration.storage.approvals import Approval
from tests.support.incidents import a_report
from tests.support.patience import patient
from tests.support.web import RunningWebServer


@asynccontextmanager
async def connected(
    server: RunningWebServer, role: Role = Role.ADMIN, scopes: tuple[str, ...] | None = None, mode: str = "auto"
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {server.token(role, scopes)}"}
    async with httpx2.AsyncClient(headers=headers, timeout=patient(60)) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport, mode=mode, cache=None) as client:  # ends before its transport's client does
            yield client


def said(result: CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_another_agent_reads_and_answers_with_the_rights_of_its_token(
    server: RunningWebServer, mode: str
) -> None:
    app = server.app
    incident = app.incident_service.open_or_join(a_report(at=app.clock.now(), key=f"mcp {mode}")).id
    app.approvals.add(Approval(f"mcp-{mode}", incident, "restart it?", app.clock.now(), role="responder"))
    async with connected(server, mode=mode) as client:
        names = {one.name for one in (await client.list_tools()).tools}
        assert {"list_runs", "start_run", "list_incidents", "incident_acknowledge", "approval_decide"} <= names
        assert not {one for one in names if "token" in one or "user" in one}
        shown = json.loads(said(await client.call_tool("show_incident", {"incident": incident})))
        assert shown["incident"]["id"] == incident
        done = await client.call_tool("approval_decide", {"approval": f"mcp-{mode}", "decision": "approved"})
        assert not done.is_error
        assert app.approvals.get(f"mcp-{mode}").decision == "approved"
        resources = {str(one.uri) for one in (await client.list_resources()).resources}
        assert f"orchestrator://incidents/{incident}" in resources
        read = await client.read_resource(f"orchestrator://incidents/{incident}/review")
        assert incident in str(read.contents[0])
    audited = [entry["action"] for entry in _audit(server)]
    assert "POST /api/v1/approvals/decisions" in audited
    assert "POST /mcp" not in audited


def _audit(server: RunningWebServer) -> list[Any]:
    return list(server.client().get("/api/v1/audit", params={"limit": 100}).json()["items"])


async def test_a_viewer_changes_nothing_and_nobody_comes_without_a_token(server: RunningWebServer) -> None:
    incident = server.app.incident_service.open_or_join(a_report(at=server.app.clock.now(), key="mcp viewer")).id
    async with connected(server, Role.VIEWER) as client:
        refused = await client.call_tool("incident_acknowledge", {"incident": incident})
        assert (refused.is_error, "requires the role responder" in said(refused)) == (True, True)
        wrong = await client.call_tool("show_incident", {"incident": "inc-1/../../tokens"})
        assert wrong.is_error
        unknown = await client.call_tool("show_incident", {"incident": incident, "more": 1})
        assert "has no argument 'more'" in said(unknown)
        with pytest.raises(MCPError, match="no resource of this kind"):
            await client.read_resource("orchestrator://users/admin")
    async with connected(server, Role.ADMIN, ("incidents",)) as client:
        assert "runs" in said(await client.call_tool("list_runs", {}))
    async with httpx2.AsyncClient(timeout=patient(30)) as http:
        answer = await http.post(f"{server.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert answer.status_code == 401


async def test_the_same_over_standard_input_and_output(server: RunningWebServer) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "orchestration", "mcp", "serve", "--url", server.url],
        env={"ORCHESTRATOR_TOKEN": server.token(Role.VIEWER), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with Client(stdio_client(command), cache=None) as client:
        listed = json.loads(said(await client.call_tool("list_runs", {"limit": 3})))
        assert len(listed["items"]) <= 3  # other tests start runs on the same server
        refused = await client.call_tool("start_run", {"goal": "x", "workspace": "/tmp"})
        assert "requires the role operator" in said(refused)

"""`orchestrator mcp`: the servers of tools, which of their tools are held, and our own server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.app import ProjectRecords, project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.errors import NotFoundError, OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestration.agents.mcp.source import McpTools, OfferedTool


@click.group()
def mcp() -> None:
    """Servers of tools (Model Context Protocol)."""


@mcp.command("list")
@click.argument("servers", nargs=-1)
@common.workspace_option
@common.json_option
@click.pass_obj
def list_servers(config: str, servers: tuple[str, ...], workspace: Path | None, as_json: bool) -> int:
    """Ask each of SERVERS, by default all in the configuration, for its tools; say which tools are held, and why."""
    _require_sdk()
    with project(config) as here:
        names = _checked(here, servers)
        found = common.run_async(lambda: _ask(here, names, (workspace or Path.cwd()).resolve()))
    if as_json:
        common.print_json([_plain(name, outcome) for name, outcome in found.items()])
    elif not found:
        echo("The configuration has no servers of tools. Add one to `mcpServers`.")
    else:
        for name, outcome in found.items():
            _show(name, outcome)
    return 1 if any(isinstance(outcome, str) for outcome in found.values()) else 0


@mcp.command()
@click.argument("server")
@click.argument("tools", nargs=-1, required=True)
@common.workspace_option
@click.pass_obj
def accept(config: str, server: str, tools: tuple[str, ...], workspace: Path | None) -> None:
    """Accept TOOLS of SERVER as they are now, whatever they were held for. Read what they say first:
    `orchestrator mcp list SERVER --json`."""
    _require_sdk()
    from orchestration.agents.mcp.acceptance import AcceptedTools

    with project(config) as here:
        names, folder = _checked(here, [server]), (workspace or Path.cwd()).resolve()
        [outcome] = common.run_async(lambda: _ask(here, names, folder)).values()
        if isinstance(outcome, str):
            raise OrchestratorError(f"The server {server} does not work: {outcome}")
        known = {one.tool.name: one.tool.digest for one in outcome}
        if missing := [tool for tool in tools if tool not in known]:
            raise NotFoundError(f"{server} has no tool '{missing[0]}'. It has: {', '.join(known) or 'none'}.")
        AcceptedTools(here.state_folder).accept(server, {tool: known[tool] for tool in tools})
    echo(f"accepted as they are now: {', '.join(tools)}")


@mcp.command()
@click.option("--url", help="The server to speak for.  [default: the one that serves this project]")
@click.pass_obj
def serve(config: str, url: str | None) -> None:
    """Offer runs, incidents, playbooks and approvals to another agent, as an MCP server over standard input and output.

    It speaks for `orchestrator serve`, with the token in ORCHESTRATOR_TOKEN: what that may not do, the agent may not
    do either. The same is at /mcp of the server itself.
    """
    address = url or _address(config)
    _require_sdk()
    from orchestration.web.mcp.stdio import serve_stdio

    common.run_async(lambda: serve_stdio(address, os.environ.get("ORCHESTRATOR_TOKEN")))


def _address(config: str) -> str:
    with project(config) as here:
        if not here.serves_at:
            raise UsageError("`orchestrator serve` is not running here. Start it, or name a server with --url.")
        return here.serves_at


def _checked(here: ProjectRecords, servers: Sequence[str]) -> tuple[str, ...]:
    known = here.configuration.mcp_servers
    for name in servers:
        if name not in known:
            raise NotFoundError(f"There is no server '{name}'. Configured: {', '.join(known) or 'none'}.")
    return tuple(servers) or tuple(known)


async def _ask(here: ProjectRecords, servers: Sequence[str], workspace: Path) -> dict[str, Sequence[OfferedTool] | str]:
    """What each server offers, or why it does not."""
    from orchestration.agents.mcp.connection import ServerDownError

    found: dict[str, Sequence[OfferedTool] | str] = {}
    async with _source(here) as source:
        for name in servers:
            try:
                found[name] = await source.inspect(name, workspace, fresh=True)
            except ServerDownError as error:
                found[name] = str(error)
    return found


@contextlib.asynccontextmanager
async def _source(here: ProjectRecords) -> AsyncIterator[McpTools]:
    from orchestration.agents.mcp.acceptance import AcceptedTools
    from orchestration.agents.mcp.source import McpTools

    accepted = AcceptedTools(here.state_folder)
    source = McpTools(lambda: here.configuration, here.store.credentials.get, here.bus, here.root, accepted)
    async with contextlib.aclosing(source):
        yield source


def _require_sdk() -> None:
    """Raise UsageError where the MCP SDK is not installed."""
    if find_spec("mcp") is None:
        raise UsageError("Servers of tools need the MCP SDK. Install agent-orchestration[mcp].")


def _show(name: str, outcome: Sequence[OfferedTool] | str) -> None:
    if isinstance(outcome, str):
        echo(f"{name} does not work: {outcome}")
        return
    rows = [
        (one.name, "; ".join(one.held) or "offered", one.tool.shown_description.partition("\n")[0][:80])
        for one in outcome
    ]
    console().print(table(("TOOL", "STATE", "DESCRIPTION"), rows))


def _plain(name: str, outcome: Sequence[OfferedTool] | str) -> dict[str, object]:
    if isinstance(outcome, str):
        return {"server": name, "problem": outcome, "tools": []}
    tools = [
        {
            "name": one.name,
            "tool": one.tool.name,
            "held": list(one.held),
            "description": one.tool.description,
            "parameters": one.tool.parameters,
        }
        for one in outcome
    ]
    return {"server": name, "problem": None, "tools": tools}

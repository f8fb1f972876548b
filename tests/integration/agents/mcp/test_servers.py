"""Servers of tools that are real processes, sound and hostile ones."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

pytest.importorskip("mcp")

from orchestration.agents.mcp.acceptance import AcceptedTools
from orchestration.agents.mcp.connection import ServerDownError
from orchestration.agents.mcp.inspection import HeldReason
from orchestration.agents.mcp.source import McpTools, OfferedTool
from orchestration.clock import SystemClock
from orchestration.config.schema import Configuration
from orchestration.events import Event, EventBus
from orchestration.rehearsal.conversation import RehearsalRequest
from orchestration.sdk import Agent, Project
from orchestration.testing import RehearsalModel, call
from orchestration.testing.rehearsal_model import Reply
from tests.support.console import free_port
from tests.support.patience import until

_SERVER = str(Path(__file__).with_name("sample_server.py"))


def command(*flaws: str) -> list[str]:
    return [sys.executable, _SERVER, *flaws]


@asynccontextmanager
async def tools_of(folder: Path, heard: list[Event] | None = None, **settings: Any) -> AsyncIterator[McpTools]:
    (folder / "work").mkdir(exist_ok=True)
    document = {"mcpServers": {"tickets": settings}, "agents": [{"id": "clerk", "tools": ["tickets__*"]}]}
    configuration = Configuration.model_validate(document)
    bus = EventBus(SystemClock())
    if heard is not None:
        bus.subscribe(heard.append)
    source = McpTools(lambda: configuration, os.environ.get, bus, folder, AcceptedTools(folder / "var"))
    try:
        yield source
    finally:
        await source.aclose()


async def held_by(source: McpTools, folder: Path) -> dict[str, tuple[HeldReason, ...]]:
    found: list[OfferedTool] = list(await source.inspect("tickets", folder / "work", fresh=True))
    return {one.tool.name: one.held for one in found if one.held}


async def test_a_run_uses_a_server_within_its_walls_and_limits(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / ".env").write_text("TICKETS_TOKEN=t0ken-that-nobody-may-see\n")
    calls = [
        call("tickets__search", words="lamp"),
        call("tickets__huge"),
        call("tickets__reaches"),
        call("tickets__sleeps", seconds=60),
        call("tickets__create", title="chair"),
    ]
    results: list[str] = []

    def says(request: RehearsalRequest) -> Reply:
        results[:] = [past.result for past in request.past_calls]
        return calls[request.turn] if request.turn < len(calls) else "done"

    settings = {
        "command": command(),
        "variables": ["TICKETS_TOKEN"],
        "network": False,
        "readsOnly": ["search"],
        "limits": {"seconds": 3},
    }
    async with RehearsalModel(says) as model:
        agents = [Agent("clerk", tools=["tickets__*"])]
        project = Project(
            tmp_path, agents=agents, providers=[model.provider], settings={"mcpServers": {"tickets": settings}}
        )
        (await project.run("use them", tmp_path / "work")).raise_unless_ok()
    found, huge, reached, slept, created = results
    assert found == "found lamp; token [redacted:credential]"
    assert "it sent a message of more than 4,194,304 bytes" in huge
    assert "readable" not in reached
    assert reached.endswith("not planted; no network")
    assert slept == "tickets__sleeps was ended: it took longer than 3 s"
    assert created == "created chair"
    assert (tmp_path / "work" / "created.txt").read_text() == "chair\n"
    assert running() == []


async def test_what_is_hidden_or_gives_orders_is_held_until_a_person_accepts_it(tmp_path: Path) -> None:
    heard: list[Event] = []
    async with tools_of(tmp_path, heard, command=command("poisoned")) as source:
        held = await held_by(source, tmp_path)
        assert held == {"add": (HeldReason.ORDERS,), "invisible": (HeldReason.HIDDEN_CHARACTERS,)}
        assert sorted(event.data["tool"] for event in heard if event.kind == "tool_server.tool_held") == [
            "add",
            "invisible",
        ]
        [bad] = [one for one in await source.inspect("tickets", tmp_path / "work") if one.tool.name == "add"]
        AcceptedTools(tmp_path / "var").accept("tickets", {"add": bad.tool.digest})
        assert set(await held_by(source, tmp_path)) == {"invisible"}


async def test_a_tool_that_is_changed_after_it_was_accepted_is_held(tmp_path: Path) -> None:
    async with tools_of(tmp_path, command=command()) as source:
        assert await held_by(source, tmp_path) == {}
    async with tools_of(tmp_path, command=command("changed")) as source:
        assert await held_by(source, tmp_path) == {"close": (HeldReason.CHANGED,)}


async def test_a_server_that_cannot_start_costs_the_agent_its_tools_and_is_reported_once(tmp_path: Path) -> None:
    heard: list[Event] = []
    async with tools_of(tmp_path, heard, command=command("broken")) as source:
        for _ in range(2):
            with pytest.raises(ServerDownError, match="no configuration"):
                await source.inspect("tickets", tmp_path / "work")
        failed = [event.data["reason"] for event in heard if event.kind == "tool_server.failed"]
        assert failed == ["it ended, and its last words were: no configuration"]


@contextmanager
def served_over_http() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(command("http"), env={**os.environ, "PORT": str(port)}, stderr=subprocess.DEVNULL)
    try:
        own = psutil.Process(process.pid)
        until(lambda: any(one.laddr.port == port for one in own.net_connections()), 30, "the server did not listen")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


async def test_a_server_with_an_address_is_used_found_dead_and_used_again(tmp_path: Path) -> None:
    heard: list[Event] = []
    with served_over_http() as url:
        async with tools_of(tmp_path, heard, url=url, readsOnly=["search"]) as source:
            held = await source._connection("tickets", source._configuration().mcp_servers["tickets"], tmp_path)
            answer = await held.connection.call("search", {"words": "lamp"}, 10)
            assert "found lamp" in str(answer.content[0])
            with pytest.raises(ServerDownError, match="more than 4,194,304 bytes"):
                await held.connection.call("huge", {}, 20)
            assert len(await held.connection.tools()) > 3
    kinds = [event.kind for event in heard]
    assert kinds[:2] == ["tool_server.recovered", "tool_server.failed"] or "tool_server.failed" in kinds


async def test_a_connection_that_is_closed_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    async with tools_of(tmp_path, command=command("slow")) as source:
        for pause in (0.0, 0.0, 0.01, 0.03, 0.1):
            held = await source._connection(
                "tickets", source._configuration().mcp_servers["tickets"], tmp_path / "work"
            )
            await anyio.sleep(pause)
            await held.connection.close()
            source._open.clear()
    gc.collect()  # what was not closed is warned of
    until(lambda: not running(), 10, "a server is left")


def running() -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if _SERVER in (one.info["cmdline"] or ())]

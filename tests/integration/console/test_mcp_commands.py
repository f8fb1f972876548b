"""`orchestrator mcp list` and `accept`, on servers that are real processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp")

from tests.support.console import REPOSITORY, ConsoleProject

_SERVER = str(REPOSITORY / "tests" / "integration" / "agents" / "mcp" / "sample_server.py")


@pytest.fixture
def project(tmp_path: Path) -> ConsoleProject:
    project = ConsoleProject(tmp_path / "project")
    serve(project)
    return project


def serve(project: ConsoleProject, *flaws: str) -> None:
    servers = {"tickets": [sys.executable, _SERVER, *flaws], "wrecked": [sys.executable, _SERVER, "broken"]}
    project.document["mcpServers"] = {name: {"command": command} for name, command in servers.items()}
    project.write()


def test_what_has_changed_is_held_until_a_person_accepts_it_as_it_is(project: ConsoleProject) -> None:
    listed = project.call("mcp", "list", "--workspace", "work", "--json")
    found = {one["server"]: one for one in listed.json()}
    assert (listed.code, found["tickets"]["problem"]) == (1, None)
    assert {"search", "create"} <= {tool["tool"] for tool in found["tickets"]["tools"] if not tool["held"]}
    assert "its last words were: no configuration" in found["wrecked"]["problem"]

    serve(project, "changed")
    refused = project.call("mcp", "accept", "tickets", "close", "there-is-none", "--workspace", "work")
    assert (refused.code, "tickets has no tool 'there-is-none'. It has:" in refused.err) == (2, True)
    (server,) = project.call("mcp", "list", "tickets", "--workspace", "work", "--json").json()
    assert [tool["tool"] for tool in server["tools"] if tool["held"]] == ["close"], "nothing of it was accepted"

    done = project.call("mcp", "accept", "tickets", "close", "--workspace", "work")
    assert (done.code, done.out) == (0, "accepted as they are now: close\n")
    listed = project.call("mcp", "list", "tickets", "--workspace", "work")
    (line,) = [line.split() for line in listed.out.splitlines() if "tickets__close" in line]
    assert (listed.code, line[1]) == (0, "offered")


def test_a_server_that_cannot_be_asked_is_refused_with_the_reason(project: ConsoleProject) -> None:
    accepted = project.call("mcp", "accept", "wrecked", "search", "--workspace", "work")
    assert (accepted.code, "The server wrecked does not work: it ended" in accepted.err) == (1, True)
    for words in (("list", "tickts"), ("accept", "tickts", "search")):
        said = project.call("mcp", *words)
        assert (said.code, "There is no server 'tickts'. Configured: tickets, wrecked." in said.err) == (2, True)

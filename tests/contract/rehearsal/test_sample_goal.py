"""The sample goal from the plan to the approval: real requests, real files, real test runs."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from orchestration.rehearsal import RehearsalServer, samples
from tests.contract.rehearsal.chat import ask_ollama, ask_openai, ask_openai_streaming
from tests.support.patience import patient

TOOLS = ("list_files", "read_file", "write_file", "replace_in_file", "search_files", "run_command")
Ask = Callable[[httpx2.AsyncClient, dict[str, Any]], Awaitable[dict[str, Any]]]


class Crew:
    """The three agents and their tools, in the fewest lines that will do; every call goes to another server."""

    def __init__(self, clients: list[httpx2.AsyncClient], ask: Ask, workspace: Path) -> None:
        self._clients = clients
        self._ask = ask
        self._workspace = workspace

    async def agent(self, role: str, text: str, *, tools: bool = True) -> Any:
        """Talk until the model has no more tools to call; its last word is JSON."""
        messages = [
            {"role": "system", "content": f"You are an agent.\nRole: {role}"},
            {"role": "user", "content": text},
        ]
        offered = [{"type": "function", "function": {"name": name}} for name in TOOLS] if tools else []
        for turn in range(20):
            body = {"model": "rehearsal-1", "messages": messages, "tools": offered}
            message = await self._ask(self._clients[turn % len(self._clients)], body)
            if not message.get("tool_calls"):
                return json.loads(message["content"])
            messages.append(message)
            for call in message["tool_calls"]:
                result = await anyio.to_thread.run_sync(self._use_tool, call["function"])
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        raise AssertionError(f"{role} did not come to an end")

    def _use_tool(self, function: dict[str, Any]) -> str:
        raw = function["arguments"]
        arguments = json.loads(raw) if isinstance(raw, str) else raw
        path = self._workspace / arguments.get("path", ".")
        match function["name"]:
            case "list_files":
                return "\n".join(files(self._workspace))
            case "read_file":
                return path.read_text()
            case "write_file":
                path.write_text(arguments["content"])
            case "replace_in_file":
                assert path.read_text().count(arguments["old"]) == 1
                path.write_text(path.read_text().replace(arguments["old"], arguments["new"]))
            case "run_command":
                return self.run(arguments["command"])
        return "done"

    def run(self, command: list[str]) -> str:
        assert command[:3] == ["python3", "-m", "unittest"]
        line = [sys.executable, "-B", *command[1:]]
        result = subprocess.run(
            line, cwd=self._workspace, capture_output=True, text=True, timeout=patient(60), check=False
        )
        return f"exit code {result.returncode}\n{result.stdout}{result.stderr}"


def files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def difference(old: dict[str, str], new: dict[str, str]) -> str:
    names = sorted(old.keys() | new.keys())
    texts = ((old.get(name, ""), new.get(name, ""), name) for name in names)
    diffs = (difflib.unified_diff(a.splitlines(1), b.splitlines(1), f"a/{name}", f"b/{name}") for a, b, name in texts)
    return "".join(line for diff in diffs for line in diff)


@pytest.fixture
async def clients() -> AsyncIterator[list[httpx2.AsyncClient]]:
    async with (
        RehearsalServer(latency=0) as one,
        RehearsalServer(latency=0) as two,
        httpx2.AsyncClient(base_url=one.url, timeout=patient(30)) as first,
        httpx2.AsyncClient(base_url=two.url, timeout=patient(30)) as second,
    ):
        yield [first, second]


@pytest.mark.parametrize("ask", [ask_openai, ask_openai_streaming, ask_ollama])
async def test_the_sample_goal_is_planned_done_reviewed_mended_and_approved(
    clients: list[httpx2.AsyncClient], ask: Ask, tmp_path: Path
) -> None:
    sample = samples.copy_to(tmp_path / "work")
    before = files(sample.workspace)
    crew = Crew(clients, ask, sample.workspace)

    plan = await crew.agent("planner", f"Goal: {sample.goal}")
    first, second, last = plan["steps"]
    outcomes: list[Any] = []

    async def execute(step: dict[str, Any]) -> None:
        outcomes.append(await crew.agent("executor", f"Goal: {sample.goal}\nStep: {json.dumps(step)}"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute, first)
        tasks.start_soon(execute, second)
    await execute(last)
    assert [outcome["done"] for outcome in outcomes] == [True, True, True]

    async def review() -> Any:
        tests = crew.run(list(sample.test_command))
        changes = difference(before, files(sample.workspace))
        return await crew.agent("reviewer", f"Goal: {sample.goal}\nDiff:\n{changes}\nTests:\n{tests}", tools=False)

    asked = await review()
    assert asked["verdict"] == "changes_requested"
    await execute({"title": "Mend the findings", "instructions": json.dumps(asked["findings"])})
    assert outcomes[-1]["done"] is True
    approved = await review()
    assert (approved["verdict"], approved["findings"]) == ("approved", [])

    after = files(sample.workspace)
    assert {name for name in after if after[name] != before.get(name)} == {
        "CHANGELOG.md",
        "tallybook/money.py",
        "tallybook/terms.py",
        "tests/test_credit_notes.py",
    }
    tests = crew.run(list(sample.test_command))
    assert "exit code 0" in tests
    assert "Ran 10 tests" in tests
    assert all("[rehearsal]" in said["summary"] for said in (plan, *outcomes, asked, approved))


async def test_work_that_is_done_already_is_not_done_again(clients: list[httpx2.AsyncClient], tmp_path: Path) -> None:
    sample = samples.copy_to(tmp_path)
    crew = Crew(clients, ask_openai, sample.workspace)
    first = await crew.agent("executor", f"Goal: {sample.goal}")
    done = files(sample.workspace)
    second = await crew.agent("executor", f"Goal: {sample.goal}")
    assert (first["done"], second["done"]) == (True, True)
    assert files(sample.workspace) == done


async def test_a_workspace_that_was_tampered_with_is_not_called_done(
    clients: list[httpx2.AsyncClient], tmp_path: Path
) -> None:
    sample = samples.copy_to(tmp_path)
    (sample.workspace / "tallybook/money.py").write_text("def percentage(cents, percent):\n    return 0\n")
    outcome = await Crew(clients, ask_openai, sample.workspace).agent("executor", f"Goal: {sample.goal}")
    assert outcome["done"] is False

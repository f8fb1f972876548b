"""What was said in the calls of a real run, as the console, the API and the pages read it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner

from orchestration.cli import cli
from orchestration.domain.run_status import RunStatus
from orchestration.errors import NotFoundError
from orchestration.runs.run_calls import CallState
from tests.integration.agents.rooms import DONE, calls, rooms, says
from tests.support.patience import patient

# Put together here, so that no scanner takes this file for a leak.
SECRET = "ghp_" + "A1b2C3d4E5" * 3
FAILING = ["sh", "-c", f"echo before; printf 'ghp_%s\\n' {SECRET[4:]}; seq 1 5; exit 3"]


def thinks(answer: dict[str, Any], thoughts: str) -> dict[str, Any]:
    return {**answer, "reasoning_content": thoughts}


async def test_a_run_is_read_call_by_call(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Any:
        said = [message["role"] for message in body["messages"]]
        if "tool" not in said:
            return thinks(calls(("run_command", {"command": FAILING})), "first I look")
        return DONE

    options = {"checks": [["sh", "-c", "echo all went wrong; exit 7"]]}
    async with rooms(tmp_path, script) as (house, _):
        run = await house.run(goal=f"mend it with {SECRET}", options=options)
        assert run.status is RunStatus.NOT_APPROVED
        app, now = house.app, house.app.clock.now()
        first = app.calls.read(run, "executor.goal/1", now)
        assert (first.state, first.recorded, first.thinking) == (CallState.DONE, True, "first I look")
        assert first.answer is not None
        assert [one.name for one in first.answer.tool_calls] == ["run_command"]
        assert [message.role for message in first.messages] == ["system", "user"]
        assert "run_command" in first.tools
        assert (first.prompt_tokens, first.completion_tokens, first.route) == (10, 5, "own/m")
        tool = app.calls.read(run, f"{run.id}.executor.goal/2", now)
        assert (tool.kind, tool.state, tool.exit_code) == ("tool", CallState.FAILED, 3)
        assert tool.output is not None
        assert "before" in tool.output
        assert tool.arguments is not None
        # Only what is new is read of the next prompt, unless somebody wants all of it.
        third = app.calls.read(run, "executor.goal/3", now)
        assert [message.repeated for message in third.messages] == [True, True, False, False]
        assert third.messages[0].text is None
        whole = app.calls.read(run, "executor.goal/3", now, whole=True)
        assert whole.messages[0].text is not None
        (check,) = [bar for bar in app.calls.list(run, now) if bar.kind == "check"]
        read = app.calls.read(run, check.key, now)
        assert (read.exit_code, read.output) == (7, "all went wrong\n")
        told = json.dumps([str(app.calls.read(run, bar.key, now, whole=True)) for bar in app.calls.list(run, now)])
        assert SECRET not in told
        assert "[redacted:" in told
        with pytest.raises(NotFoundError, match="has no call 'planner/9'"):
            app.calls.read(run, "planner/9", now)
    console = ["--config", str(tmp_path / "config" / "agents.config.json"), "runs", "calls", run.id]
    listed = await anyio.to_thread.run_sync(lambda: CliRunner().invoke(cli, console))
    assert "executor.goal/1" in listed.output
    shown = await anyio.to_thread.run_sync(lambda: CliRunner().invoke(cli, [*console, "executor.goal/2", "--json"]))
    assert json.loads(shown.stdout)["output"] == tool.output


async def test_a_call_that_fails_keeps_its_prompt_and_says_why(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda body: 400) as (house, _):
        run = await house.run()
        call = house.app.calls.read(run, "executor.goal/1", house.app.clock.now())
        assert (call.state, call.answer) == (CallState.FAILED, None)
        assert "out of order" in call.failure
        assert call.attempts[-1].status == 400
        assert [message.role for message in call.messages] == ["system", "user"]


async def test_a_call_under_way_is_shown_with_its_prompt_and_one_that_was_cut_off_as_interrupted(
    tmp_path: Path,
) -> None:
    asked, release = threading.Event(), threading.Event()

    def script(body: dict[str, Any]) -> Any:
        asked.set()
        release.wait(patient(20))
        return DONE

    async with rooms(tmp_path, script) as (house, _):
        run = await house.start()
        await house.until(asked.is_set)
        await house.until(lambda: house.app.calls.records.list_open(run.id))
        run = await house.app.get_run(run.id)
        call = house.app.calls.read(run, "executor.goal/1", house.app.clock.now())
        assert call.state is CallState.RUNNING
        assert call.messages[1].text
        (bar,) = house.app.calls.list(run, house.app.clock.now())
        assert bar.open
        await house.app.control.cancel(run.id, "enough")
        run = await house.app.get_run(run.id)
        assert house.app.calls.read(run, "executor.goal/1", house.app.clock.now()).state is CallState.INTERRUPTED
        release.set()


async def test_a_run_stops_at_the_tokens_that_it_was_started_with(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Any:
        return calls(("list_files", {"depth": len(body["messages"]) % 19 + 1}))

    async with rooms(tmp_path, script) as (house, model):
        run = await house.run(options={"tokens": 1500})
        assert run.status is RunStatus.INCOMPLETE
        assert house.failing()["kind"] == "budget_exceeded"
        assert "start another one with a higher `--tokens`" in run.reason
        assert 0 < len(model.asked) < 30


async def test_nothing_is_kept_where_recording_is_off(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda body: says("x")) as (house, _):
        file = tmp_path / "config" / "agents.config.json"
        settings = json.loads(file.read_text())
        file.write_text(json.dumps({**settings, "monitoring": {"recordCalls": False}}))
        await house.until(lambda: not house.app.store.current.monitoring.record_calls)
        run = await house.run()
        call = house.app.calls.read(run, "executor.goal/1", house.app.clock.now())
        assert (call.recorded, call.messages, call.route) == (False, (), "own/m")

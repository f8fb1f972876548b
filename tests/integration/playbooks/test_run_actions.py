"""Actions on runs, on the real engine: what they stop is stopped, what they resume ends well."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.playbooks.actions import ActionError
from orchestration.storage.runs import Run
from tests.integration.agents.rooms import DONE, ScriptedModel, calls
from tests.support.console import command_line, is_there
from tests.support.response import EXECUTOR, Ward, a_ward

SLEEP = calls(("run_command", {"command": ["sleep", "60"]}))


@asynccontextmanager
async def a_house(root: Path, script: Callable[[dict[str, Any]], Any]) -> AsyncIterator[tuple[Ward, ScriptedModel]]:
    """A ward that takes up runs, on a model that follows a script."""
    with ScriptedModel(script) as model:
        provider = {"type": "openai", "baseUrl": model.url, "defaultModel": "m", "streaming": False}
        async with a_ward(root, {"own": provider}, [EXECUTOR], shared=True, runtime={"agentRetries": 0}) as ward:
            yield ward, model


async def begun(ward: Ward, **values: Any) -> Run:
    return await ward.app.launcher.start("mend it", ward.root / "work", agent="executor", queue=False, **values)


def status(ward: Ward, run: Run) -> RunStatus:
    return ward.app.runs.get(run.id).status


def sleepers() -> list[psutil.Process]:
    """The commands that agents of ours run."""
    children = psutil.Process().children(recursive=True)
    return [one for one in children if is_there(one) and "60" in command_line(one).split()]


def woken() -> bool:
    """End every command that an agent waits for; it is told so."""
    for process in sleepers():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return True


async def test_a_failed_run_goes_on_from_its_last_step_when_the_model_is_well_again(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"next": 400}
    async with a_house(tmp_path, lambda _: answers["next"]) as (ward, _):
        run = await begun(ward)
        await ward.until(lambda: status(ward, run) is RunStatus.FAILED)
        answers["next"] = DONE
        assert await ward.preview("run.restart", runs=[run.id]) == f"go on with {run.id} from the last committed step"
        done = await ward.run("run.restart", runs=[run.id])
        assert done.findings == {"restarted": [run.id], "refused": []}
        await ward.until(lambda: status(ward, run) is RunStatus.SUCCEEDED)
        again = await ward.run("run.restart", runs=[run.id])
        assert (again.findings["restarted"], status(ward, run)) == ([run.id], RunStatus.SUCCEEDED)
        with pytest.raises(ActionError, match="There is no run 'run-none'"):
            await ward.run("run.restart", runs=["run-none"])


async def test_a_blocking_tool_is_stopped_with_its_run_which_goes_on_when_that_is_undone(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"next": SLEEP}
    async with a_house(tmp_path, lambda _: answers["next"]) as (ward, _):
        run = await begun(ward)
        await ward.until(sleepers)
        answers["next"] = DONE
        stopped = await ward.run("run.cancel", runs=[run.id])
        await ward.until(lambda: not sleepers())
        assert status(ward, run) is RunStatus.STOPPED
        assert await ward.undo("run.cancel", stopped) == f"resumed {run.id}"
        await ward.until(lambda: woken() and status(ward, run) is RunStatus.SUCCEEDED)


async def test_runs_of_low_priority_are_paused_and_resumed_and_others_are_not_touched(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"next": SLEEP}
    async with a_house(tmp_path, lambda _: answers["next"]) as (ward, _):
        low, usual = await begun(ward, priority="low"), await begun(ward)
        await ward.until(lambda: len(sleepers()) >= 2)
        assert await ward.preview("run.pause") == f"pause the runs of priority low: {low.id}"
        paused = await ward.run("run.pause")
        assert (await ward.run("run.pause")).undo == paused.undo == {"runs": [low.id]}
        assert (paused.findings, status(ward, low)) == ({"paused": [low.id]}, RunStatus.STOPPED)
        assert status(ward, usual) is RunStatus.RUNNING
        other = ward.incident
        ward.declare(key="another trouble")
        assert (await ward.run("run.resume-paused")).findings == {"resumed": []}
        ward.incident = other
        answers["next"] = DONE
        assert (await ward.run("run.resume-paused")).findings == {"resumed": [low.id]}
        await ward.until(lambda: woken() and {status(ward, low), status(ward, usual)} == {RunStatus.SUCCEEDED})


async def test_a_fork_does_the_last_part_again_and_is_cancelled_when_that_is_undone(tmp_path: Path) -> None:
    async with a_house(tmp_path, lambda _: SLEEP) as (ward, _):
        run = await begun(ward)
        await ward.until(sleepers)
        forked = await ward.run("run.fork", runs=[run.id])
        fork = ward.app.runs.get(forked.findings["forks"][0])
        assert (status(ward, run), fork.origin.startswith(f"fork of {run.id}")) == (RunStatus.STOPPED, True)
        assert (await ward.run("run.fork", runs=[run.id])).undo == forked.undo
        await ward.until(sleepers)
        await ward.undo("run.fork", forked)
        await ward.until(lambda: status(ward, fork) is RunStatus.CANCELLED and not sleepers())


async def test_runs_that_stopped_for_a_provider_are_taken_up_and_only_those(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"next": SLEEP}
    async with a_house(tmp_path, lambda _: answers["next"]) as (ward, _):
        waits, stands = await begun(ward), await begun(ward)
        await ward.until(lambda: len(sleepers()) >= 2)
        await ward.app.control.pause(waits.id, "no provider can answer now", hold=RunHold.NO_PROVIDER)
        await ward.app.control.pause(stands.id, "ada wanted it")
        await ward.until(lambda: not sleepers())
        answers["next"] = DONE
        assert (await ward.run("run.resume-waiting")).findings == {"resumed": [waits.id]}
        await ward.until(lambda: woken() and status(ward, waits) is RunStatus.SUCCEEDED)
        assert status(ward, stands) is RunStatus.STOPPED


async def test_an_agent_gets_more_time_once_and_loses_it_when_that_is_undone(tmp_path: Path) -> None:
    agents = [{**EXECUTOR, "limits": {"seconds": 60}}]
    async with a_ward(tmp_path, agents=agents) as ward:
        raised = await ward.run("run.raise-limit", agents=["executor"], factor=3)
        assert _seconds(ward) == 180
        await ward.run("run.raise-limit", agents=["executor"], factor=3)
        assert (_seconds(ward), ward.overrides) == (180, [("limit_agent", "executor")])
        await ward.undo("run.raise-limit", raised)
        assert _seconds(ward) == 60
        with pytest.raises(ActionError, match="got 'nobody'"):
            await ward.run("run.raise-limit", agents=["nobody"])


async def test_a_run_with_a_limit_of_its_own_gets_more_time_as_well(tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> Any:
        time.sleep(1.2)
        return DONE

    async with a_house(tmp_path, slow) as (ward, _):
        run = await begun(ward, options={"seconds": 0.5})
        await ward.until(lambda: status(ward, run) is RunStatus.FAILED)
        given = {"agents": ["executor"], "runs": [run.id], "factor": 10.0}
        raised = await ward.run("run.raise-limit", **given)
        assert (await ward.run("run.raise-limit", **given)).undo == raised.undo
        await ward.run("run.restart", runs=[run.id])
        await ward.until(lambda: status(ward, run) is RunStatus.SUCCEEDED)
        assert ward.app.runs.get(run.id).options["seconds"] == 5.0
        await ward.undo("run.raise-limit", raised)
        assert ward.app.runs.get(run.id).options == {"seconds": 0.5}


def _seconds(ward: Ward) -> float | None:
    agent = ward.app.effective().agent("executor")
    assert agent is not None
    return agent.limits.seconds


async def test_nothing_is_taken_over_where_nothing_was_left(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        assert (await ward.run("run.recover")).findings == {"taken": 0}

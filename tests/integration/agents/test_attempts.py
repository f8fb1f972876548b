"""What is resumed after a failure works with what is in force then; what goes on after a crash, with what it had."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from orchestration.app import application
from orchestration.config.overrides import LimitAgent, LimitRuns, RouteTo
from orchestration.config.usage_limits import UsageLimits
from orchestration.domain.run_status import RunStatus
from orchestration.storage.runs import Run
from tests.integration.agents.rooms import DONE, Rooms, ScriptedModel, calls, configure, looks, rooms

# The first call has to be over within the shorter one, on a busy machine as well.
SLOW_SECONDS = 3.0
SHORT_SECONDS = 1.5
READ = calls(("list_files", {}))


def executor(**values: Any) -> list[dict[str, Any]]:
    return [{"id": "executor", "tools": ["list_files", "read_file"], **values}]


def slow(body: dict[str, Any]) -> dict[str, Any]:
    """Read something at once, then think for a while."""
    if not any(message["role"] == "tool" for message in body["messages"]):
        return READ
    time.sleep(SLOW_SECONDS)
    return DONE


async def edit(house: Rooms, model: ScriptedModel, agents: list[dict[str, Any]], **runtime: Any) -> None:
    configure(house.root, model.url, agents, **runtime)
    await house.app.store.refresh_in_thread()


async def resumed(house: Rooms, run: Run) -> Run:
    await house.app.launcher.resume(run.id)
    await house.app.engine.result(run.id)
    return await house.app.get_run(run.id)


def prepared(house: Rooms) -> list[tuple[Any, ...]]:
    return [
        (event.data["attempt"], event.data["config_version"], event.data["seconds"])
        for event in house.of("agent.prepared")
    ]


async def test_a_rolled_back_configuration_reaches_the_step_that_failed(tmp_path: Path) -> None:
    good = executor(limits={"seconds": 30})
    async with rooms(tmp_path, slow, good) as (house, model):
        assert (await house.run()).status is RunStatus.SUCCEEDED
        await edit(house, model, executor(limits={"seconds": SHORT_SECONDS}, tools=["list_files"]))
        run = await house.run()
        assert (run.status, house.failing()["kind"]) == (RunStatus.FAILED, "time_limit")
        asked = len(model.asked)
        house.app.store.rollback(1)
        await house.app.store.refresh_in_thread()
        assert (await resumed(house, run)).status is RunStatus.SUCCEEDED
        # The conversation went on where it was: the first answer was not asked for again.
        assert len(model.asked) == asked + 1
        assert [tool["function"]["name"] for tool in model.asked[-1]["tools"]] == ["list_files", "read_file"]
        assert prepared(house) == [(1, 1, 30), (1, 2, SHORT_SECONDS), (2, 3, 30)]
        assert house.of("run.resumed")[-1].data == {"attempt": 2, "config_version": 3}
        assert [event.data["config_version"] for event in house.of("agent.finished")] == [1, 2, 3]


async def test_another_model_provider_and_prompt_reach_the_step_that_failed(tmp_path: Path) -> None:
    with ScriptedModel(looks) as other:
        second = {"type": "openai", "baseUrl": other.url, "defaultModel": "m", "streaming": False}
        async with rooms(tmp_path, lambda body: 400, executor(), second=second) as (house, model):
            run = await house.run()
            assert run.status is RunStatus.FAILED
            changed = executor(provider="second", defaultModel="better", prompt="better.md")
            (tmp_path / "better.md").write_text("Be better.")
            await edit(house, model, changed, second=second)
            assert (await resumed(house, run)).status is RunStatus.SUCCEEDED
            body = other.asked[-1]
            assert (body["model"], body["messages"][0]["content"][:10]) == ("better", "Be better.")


async def test_a_reroute_reaches_the_step_that_failed(tmp_path: Path) -> None:
    with ScriptedModel(looks) as other:
        second = {"type": "openai", "baseUrl": other.url, "defaultModel": "m", "streaming": False}
        async with rooms(tmp_path, lambda body: 400, executor(), second=second) as (house, _):
            run = await house.run()
            assert run.status is RunStatus.FAILED
            change = RouteTo(target="executor", provider="second")
            house.app.store.add_override(change, reason="own refuses", actor="tests", seconds=60)
            assert (await resumed(house, run)).status is RunStatus.SUCCEEDED
            assert len(other.asked) == 2


async def test_a_reroute_reaches_a_run_that_waits_for_its_provider(tmp_path: Path) -> None:
    with ScriptedModel(looks) as other:
        second = {"type": "openai", "baseUrl": other.url, "defaultModel": "m", "streaming": False}
        async with rooms(tmp_path, lambda body: 500, executor(), second=second) as (house, _):
            run = await house.start()
            await house.until(lambda: house.of("run.waiting"))
            change = RouteTo(target="executor", provider="second")
            house.app.store.add_override(change, reason="own is down", actor="tests", seconds=60)
            await house.app.engine.result(run.id)
            ended = await house.app.get_run(run.id)
            assert (ended.status, ended.attempt, len(other.asked)) == (RunStatus.SUCCEEDED, 1, 2)


async def test_own_code_can_take_the_place_of_a_model_that_failed_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def work(given):\n    return {'summary': 'did it', 'done': True}\n")
    own = [{"id": "executor", "entryPoint": "own:nothing"}]
    async with rooms(tmp_path, lambda body: 400, executor()) as (house, model):
        run = await house.run()
        await edit(house, model, own)
        run = await resumed(house, run)
        assert (run.status, house.failing()["kind"]) == (RunStatus.FAILED, "own_code_failed")
        model.script = looks
        await edit(house, model, executor())
        assert (await resumed(house, run)).status is RunStatus.SUCCEEDED
        await edit(house, model, [{"id": "executor", "entryPoint": "own:work"}])
        assert (await house.run()).status is RunStatus.SUCCEEDED


async def test_more_time_helps_work_that_has_failed_and_work_in_progress(tmp_path: Path) -> None:
    longer = LimitAgent(target="executor", limits=UsageLimits(seconds=30))
    async with rooms(tmp_path, slow, executor(limits={"seconds": SHORT_SECONDS})) as (house, model):
        failed = await house.run()
        assert failed.status is RunStatus.FAILED
        made = house.app.store.add_override(longer, reason="it is slow", actor="tests", seconds=60)
        assert (await resumed(house, failed)).status is RunStatus.SUCCEEDED
        house.app.store.remove_override(made.id, "tests")
        running = await house.start()
        asked = len(model.asked)
        await house.until(lambda: len(model.asked) == asked + 2)
        house.app.store.add_override(longer, reason="it is slow", actor="tests", seconds=60)
        await house.app.engine.result(running.id)
        ended = await house.app.get_run(running.id)
        assert (ended.status, ended.attempt) == (RunStatus.SUCCEEDED, 1)
        # The call that was in progress was not cut short and asked for again.
        assert len(model.asked) == asked + 2


async def test_a_longer_limit_of_the_whole_run_reaches_what_failed_by_it(tmp_path: Path) -> None:
    async with rooms(tmp_path, slow, executor(), limits={"seconds": SHORT_SECONDS}) as (house, _):
        failed = await house.run()
        assert (failed.status, house.failing()["kind"]) == (RunStatus.FAILED, "time_limit")
        house.app.store.add_override(LimitRuns(seconds=30), reason="it is slow", actor="tests", seconds=60)
        assert (await resumed(house, failed)).status is RunStatus.SUCCEEDED


async def test_a_fork_works_with_what_is_in_force(tmp_path: Path) -> None:
    async with rooms(tmp_path, looks, executor(limits={"seconds": 30})) as (house, model):
        run = await house.run()
        await edit(house, model, executor(limits={"seconds": 20}), limits={"seconds": 15})
        fork = await house.app.launcher.fork(run.id)
        await house.app.engine.result(fork.id)
        assert (await house.app.get_run(fork.id)).status is RunStatus.SUCCEEDED
        assert prepared(house) == [(1, 1, 30), (2, 2, 20)]


async def test_a_run_that_was_interrupted_goes_on_with_what_it_had(tmp_path: Path) -> None:
    with ScriptedModel(slow) as model:
        file = configure(tmp_path, model.url, executor(limits={"seconds": 30}))
        async with application(str(file)) as app:
            run = await app.launcher.start("mend it", tmp_path / "work", agent="executor")
            house = Rooms(tmp_path, app)
            await house.until(lambda: len(model.asked) == 2)
            await app.launcher.stop([run.id], "interrupted")
        configure(tmp_path, model.url, executor(limits={"seconds": SHORT_SECONDS}))
        async with application(str(file)) as app:
            house = Rooms(tmp_path, app)
            assert (await resumed(house, run)).status is RunStatus.SUCCEEDED
            assert prepared(house) == []
            assert (await app.get_run(run.id)).attempt == 1

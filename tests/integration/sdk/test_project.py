"""A project in the program itself and on a server, by the same calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.rehearsal import samples
from orchestration.sdk import Agent, Project, Provider, RunFailedError
from orchestration.security.principal import Role
from orchestration.testing import FakeClock, RehearsalModel
from tests.support.web import a_web_server

EXECUTOR = Agent("executor", tools=["read_file", "write_file", "replace_in_file", "run_command"], commands=["@project"])
READS = ["read_file", "list_files", "search_files", "repository_map"]
AGENTS = [Agent("planner", tools=READS), EXECUTOR, Agent("reviewer", tools=READS)]


async def test_the_same_calls_in_the_program_itself(tmp_path: Path) -> None:
    async with Project(tmp_path / "project", agents=AGENTS) as project:
        await _work(project, tmp_path)


async def test_the_same_calls_on_a_server(tmp_path: Path) -> None:
    with a_web_server(tmp_path / "project") as server:
        async with Project.connect(server.url, server.token(Role.ADMIN)) as project:
            await _work(project, tmp_path)


async def _work(project: Project, folder: Path) -> None:
    sample = samples.copy_to(folder / "work")
    run = await project.start(
        sample.goal, sample.workspace, approve=["executor"], checks=[list(sample.test_command)], in_place=True
    )
    kinds = []
    async for event in run.events():
        kinds.append(event.kind)
        if event.kind == "approval.requested":
            assert await run.status() == "waiting"
            [question] = await run.questions()
            assert question in await project.questions()
            await project.approve(question, "go on")
    assert (kinds[0], kinds[-1]) == ("run.created", "run.finished")
    result = (await run.result()).raise_unless_ok()
    assert {"plan.md", "changes.patch", "review.md"} <= set(result.documents)
    assert result.outcome["ending"] == "done"
    with pytest.raises(ConflictError, match="has succeeded"):
        await run.resume()
    fork = await run.fork()
    assert (await fork.result()).ok
    assert run.id in {one.id for one in await project.runs("succeeded")}
    assert (await project.get(run.id)).goal == sample.goal
    with pytest.raises(NotFoundError):
        await project.get("run-unknown")
    assert await project.incidents() == []


async def test_a_run_with_a_key_is_started_once(tmp_path: Path) -> None:
    async with RehearsalModel(["done"]) as model:
        project = Project(tmp_path, agents=[Agent("clerk")], providers=[model.provider])
        first = await project.run("work", tmp_path, key="monday")
        again = await project.run("work", tmp_path, key="monday")
        assert first.ok
        assert first == again
        assert (await project.run("work", tmp_path)).id != first.id
        assert len(model.calls) == 2


async def test_what_fails_says_why_and_two_projects_exclude_each_other(tmp_path: Path) -> None:
    nobody = Provider.openai("m", "http://127.0.0.1:9/v1")
    async with Project(tmp_path, agents=[Agent("clerk")], providers=[nobody]) as project:
        with pytest.raises(ConflictError, match="only one at a time"):
            await Project(tmp_path / "other", agents=[Agent("clerk")]).run("work", tmp_path)
        result = await project.run("work", tmp_path, patience=0.5)
        assert result.status == "stopped"
        with pytest.raises(RunFailedError, match=f"{result.id} ended as stopped: "):
            result.raise_unless_ok()
        with pytest.raises(UsageError, match="does not exist"):
            await project.run("work", tmp_path / "missing")
    with pytest.raises(ConflictError, match="The project is closed"):
        await project.get()


async def test_time_stands_still_where_a_test_wants_that(tmp_path: Path) -> None:
    clock = FakeClock()
    async with RehearsalModel(["done"]) as model:
        project = Project(tmp_path, agents=[Agent("clerk")], providers=[model.provider], clock=clock)
        async with project:
            run = await project.start("work", tmp_path)
            assert {event.at async for event in run.events()} == {clock.now()}

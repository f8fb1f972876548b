from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from click.testing import CliRunner

from orchestration.app import Application, application
from orchestration.cli import cli
from orchestration.domain.run_status import RunStatus
from orchestration.rehearsal import samples
from orchestration.storage.runs import Run
from orchestration.workflows.step_count import count_steps

SHIPPED = Path(__file__).parents[3] / "config" / "agents.config.json"


@asynccontextmanager
async def project(root: Path) -> AsyncIterator[Application]:
    (root / "config").mkdir(exist_ok=True)
    (root / "config" / "agents.config.json").write_text(SHIPPED.read_text())
    async with application(str(root / "config" / "agents.config.json")) as app:
        yield app


async def work(app: Application, root: Path, **values: Any) -> Run:
    sample = samples.copy_to(root / "work")
    options = {"checks": [list(sample.test_command)]}
    run = await app.launcher.start(sample.goal, sample.workspace, provider="rehearsal", options=options, **values)
    await app.engine.result(run.id)
    return await app.get_run(run.id)


async def test_the_sample_goal_is_planned_carried_out_reviewed_corrected_and_forked(tmp_path: Path) -> None:
    async with project(tmp_path) as app:
        run = await work(app, tmp_path)
        assert run.status is RunStatus.SUCCEEDED, run.reason
        assert {path.name for path in app.artifacts_of(run)} == {
            *("plan.md", "changes.patch", "test-report.md", "review.md")
        }
        assert app.artifacts.verify(run.id) == ()
    # A process that has not started the rehearsal provider yet.
    async with project(tmp_path) as app:
        fork = await app.launcher.fork(run.id)
        await app.engine.result(fork.id)
        forked = await app.get_run(fork.id)
        assert forked.status is RunStatus.SUCCEEDED, forked.reason
        assert (Path(fork.workspace) / "tests" / "test_credit_notes.py").exists()
        events = [event for _, event in app.timeline.list(run.id, limit=10_000)]
        assert count_steps(events).committed_repeated == 0


def test_an_artifact_that_was_changed_afterwards_is_shown(tmp_path: Path) -> None:
    async def once() -> Run:
        async with project(tmp_path) as app:
            sample = samples.copy_to(tmp_path / "work")
            run = await app.launcher.start(sample.goal, sample.workspace, provider="rehearsal", agent="planner")
            await app.engine.result(run.id)
            return run

    run = anyio.run(once)
    plan = tmp_path / "artifacts" / run.id / "plan.md"
    command = ["--config", str(tmp_path / "config" / "agents.config.json"), "runs", "show", run.id]
    assert "it is not what the run wrote" not in CliRunner().invoke(cli, command).output
    plan.write_text(plan.read_text() + "one more step")
    assert "plan.md is changed: it is not what the run wrote" in CliRunner().invoke(cli, command).output
    plan.unlink()
    shown = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert shown["altered_artifacts"] == [{"name": "plan.md", "problem": "missing"}]

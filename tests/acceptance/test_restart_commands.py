"""`coordinator-run` and `run-planner|executor|reviewer|parallel` mean what the playbook means by them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from orchestration.app.starter import begin
from tests.support.patience import patient
from tests.support.project import ROOT, ProjectFolder, a_project, provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess, a_provider


def invoke(project: ProjectFolder, *arguments: str, code: int) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "invoke", *arguments), cwd=project.root, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, timeout=patient(60),
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def with_tasks(project: ProjectFolder, folder: Path) -> None:
    """The tasks as `orchestrator init` writes them for people who installed the wheel."""
    begin(folder, "rehearsal")
    shutil.copy(folder / "tasks.py", project.root)


def test_a_failed_step_is_shown_with_its_command_and_restarted_by_the_agents_task(tmp_path: Path) -> None:
    with a_provider() as provider, a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        with_tasks(project, tmp_path / "installed")
        provider.set_fault("400", match={"role": "planner"})
        failing = project.start_run()
        assert failing.wait() == 1
        asked = len(provider.calls())

        (command,) = re.findall(r"next: (.*)", invoke(project, "coordinator-run", code=0))
        assert f"go on      {command}" in failing.output
        run = command.rpartition(" ")[2]
        assert "give a goal: orchestrator agents run executor" in invoke(project, "run-executor", code=2)
        assert len(provider.calls()) == asked, "no token was spent"

        provider.clear_faults()
        restarted = invoke(project, "run-planner", code=0)
        assert f"restarting planner in {run}" in restarted
        assert f"{run}: succeeded" in restarted
        assert "No run is unfinished or has failed" in invoke(project, "coordinator-run", code=0)
        assert [one["id"] for one in project.call_json("runs", "list")] == [run], "nothing new was started"


def test_a_stalled_step_is_taken_from_the_process_that_hangs(provider: RehearsalProcess, tmp_path: Path) -> None:
    provider.set_fault("hang", match={"role": "executor"})
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        settings = project.settings
        settings["monitoring"] = {"thresholds": {"stalledSeconds": 1}}
        project.configure(settings)
        hanging = project.start_run()
        wait_until(lambda: any(call["fault"] == "hang" for call in provider.calls()), "for a call that hangs")
        time.sleep(1.5)
        provider.clear_faults()
        restarted = project.call("agents", "run", "executor")
        assert "restarting executor in run-" in restarted
        assert ": succeeded" in restarted
        assert hanging.wait() == 0, "whoever followed it sees it end"

"""Workers are killed in the middle of runs in worktrees, and processes in the middle of runs in place."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_serve_killed import Served
from tests.support.patience import until
from tests.support.project import Command, ProjectFolder, a_project, provider_at
from tests.support.rehearsal import RehearsalProcess
from tests.support.repositories import git

_SEED = 20_261_129


@pytest.fixture
def served(provider: RehearsalProcess, tmp_path: Path) -> Iterator[Served]:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url, auth="none")}, workers=2) as project:
        in_git(project)
        made = Served(project)
        made.start()
        yield made


def in_git(project: ProjectFolder) -> Path:
    """Make the sample a git repository of the user's."""
    workspace = project.sample.workspace
    git(workspace, "init", "--quiet", "--initial-branch=main")
    for key, value in (("user.email", "dev@example.com"), ("user.name", "Dev")):
        git(workspace, "config", key, value)
    git(workspace, "add", "--all")
    git(workspace, "commit", "--quiet", "--message", "first")
    return workspace


def begin(served: Served, key: str) -> str:
    sample = served.project.sample
    body = {"goal": sample.goal, "workspace": str(sample.workspace), "checks": [list(sample.test_command)]}
    return served.ask("/runs", body, key)


def result(served: Served, run: str) -> dict[str, Any]:
    """What a run has come to, without its name."""
    workspace, branch = served.project.sample.workspace, f"orchestrator/{run}"
    details = served.get(f"/runs/{run}")
    assert details["committed_steps_repeated"] == 0
    folder = served.project.call("runs", "open", run, "--path").strip()
    return {
        "status": (details["run"]["status"], details["run"]["outcome"]["verdict"]),
        "files": git(workspace, "ls-tree", "-r", branch),
        "commits": git(workspace, "log", "--format=%s", f"main..{branch}"),
        "left": git(Path(folder), "status", "--short"),
        "patch": (served.project.root / "artifacts" / run / "changes.patch").read_text(),
        "diff": served.project.call("runs", "diff", run),
    }


def until_succeeded(served: Served, *runs: str) -> None:
    def all_ended() -> bool:
        found = [served.get(f"/runs/{run}")["run"] for run in runs]
        assert not {one["status"] for one in found} & {"failed", "incomplete", "not-approved", "cancelled"}, found
        return all(one["status"] == "succeeded" for one in found)

    until(all_ended, seconds=120)


@pytest.mark.timeout(300)
def test_two_runs_in_one_repository_whose_workers_are_killed_are_as_if_undisturbed(
    provider: RehearsalProcess, served: Served
) -> None:
    dice, workspace = random.Random(_SEED), served.project.sample.workspace
    alone = begin(served, "alone")
    until_succeeded(served, alone)
    expected = result(served, alone)
    assert expected["diff"] == expected["patch"]
    calls = len(provider.calls())

    first, second = begin(served, "first"), begin(served, "second")
    for part in (0.2, 0.9, 1.5):
        provider.wait_for_calls(calls + int(calls * part))
        time.sleep(dice.uniform(0, 0.3))
        for worker in served.workers() if part == 0.9 else served.workers()[:1]:
            worker.kill()
    until_succeeded(served, first, second)
    assert result(served, first) == expected
    assert result(served, second) == expected
    # The user's own tree was left alone, and gets what was done on request.
    assert git(workspace, "status", "--short") == ""
    served.project.call("runs", "apply", first)
    git(workspace, "add", "--all")
    assert git(workspace, "diff", "--cached", f"orchestrator/{first}") == ""
    served.project.call("runs", "discard", second)
    assert git(workspace, "branch", "--list", f"orchestrator/{second}") == ""
    assert git(workspace, "worktree", "list").count("\n") == 3


def run_in_place(project: ProjectFolder, folder: str) -> Command:
    return project.start("run", "--in-place", "--workspace", folder, project.sample.goal)


@pytest.mark.timeout(200)
def test_of_two_runs_in_one_folder_by_two_paths_exactly_one_works(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url, auth="none")}) as project:
        workspace = in_git(project)
        (tmp_path / "link").symlink_to(workspace)
        below = next(path for path in sorted(workspace.iterdir()) if path.is_dir() and path.name != ".git")
        project.call("runs", "list")  # the database is there, and migrated
        commands = [run_in_place(project, path) for path in (str(tmp_path / "link"), f"{workspace}/", str(below))]
        codes = [command.wait(seconds=90) for command in commands]
        said = [command.output for command in commands]
        refused = [text for text in said if "two runs in one folder would mix their changes" in text]
        assert len(refused) == 2, said
        assert "Traceback" not in "".join(said)
        (worked,) = [code for code, text in zip(codes, said, strict=True) if text not in refused]
        assert worked in (0, 1)
        assert len(project.call_json("runs", "list")) == 1


@pytest.mark.timeout(200)
def test_a_run_in_place_whose_process_was_killed_makes_room(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url, auth="none")}) as project:
        workspace = in_git(project)
        command = run_in_place(project, str(workspace))
        provider.wait_for_calls(2)
        command.kill()
        git(workspace, "checkout", "--quiet", "--", ".")
        assert run_in_place(project, str(workspace)).wait(seconds=90) == 0
        later, dead = project.call_json("runs", "list")
        assert (later["status"], dead["status"]) == ("succeeded", "stopped")
        assert "its process has died" in dead["reason"]
        git(workspace, "checkout", "--quiet", "--", ".")
        project.call("runs", "resume", dead["id"])
        assert project.show(dead["id"])["status"] == "succeeded"

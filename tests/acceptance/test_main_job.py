"""The main job as a user meets it: a goal becomes a reviewed change."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ProjectFolder, a_project


class Finished:
    """A demo that was run to its end."""

    def __init__(self, project: ProjectFolder, output: str) -> None:
        self.project = project
        self.output = output
        self.run: dict[str, Any] = project.show()
        self.artifacts = {Path(path).name: Path(path) for path in self.run["artifacts"]}
        self.workspace = Path(self.run["workspace"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    with a_project(tmp_path_factory.mktemp("demo") / "project", {}) as project:
        yield Finished(project, project.call("demo", "--provider", "rehearsal"))


def test_the_demo_ends_well_and_leaves_its_four_documents(demo: Finished) -> None:
    assert demo.run["status"] == "succeeded"
    assert demo.run["outcome"]["verdict"] == "approved"
    assert set(demo.artifacts) == {"plan.md", "changes.patch", "test-report.md", "review.md"}
    assert all(path.is_file() and str(path) in demo.output for path in demo.artifacts.values())


def test_the_tests_that_failed_before_pass_now(demo: Finished) -> None:
    command = demo.project.sample.test_command
    before = subprocess.run(command, cwd=demo.project.sample.workspace, capture_output=True, check=False)
    after = subprocess.run(command, cwd=demo.workspace, capture_output=True, text=True, check=False)
    assert (before.returncode, after.returncode) == (1, 0), after.stderr
    report = demo.artifacts["test-report.md"].read_text()
    assert "python3 -m unittest" in report
    assert "OK" in report
    assert "FAILED" not in report


def test_the_patch_turns_the_workspace_as_it_was_into_the_workspace_as_it_is(demo: Finished) -> None:
    """The untouched copy of the sample beside it is the workspace as it was."""
    before = demo.project.sample.workspace
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(demo.artifacts["changes.patch"])], cwd=before, check=True
    )
    assert files_of(before) == files_of(demo.workspace)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_recorded_checksums_are_those_of_the_files(demo: Finished) -> None:
    written = {
        event["data"]["name"]: event["data"]["sha256"]
        for event in demo.run["events"]
        if event["kind"] == "artifact.written"
    }
    assert written == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in demo.artifacts.items()}


def test_everything_that_is_shown_says_that_it_was_a_rehearsal(demo: Finished) -> None:
    assert "answered by the rehearsal provider, not by a real model" in demo.output
    assert demo.run["outcome"]["use"]["rehearsal"] is True
    finished = [line for line in demo.output.splitlines() if "done in" in line]
    assert finished
    assert all("[rehearsal]" in line for line in finished)
    for name in ("plan.md", "test-report.md", "review.md"):
        assert "rehearsal" in demo.artifacts[name].read_text(), name


def test_the_log_tells_the_story_in_lines_for_people_and_in_json(demo: Finished) -> None:
    lines = demo.project.log.read_text().splitlines()
    entries = [json.loads(line) for line in demo.project.log.with_suffix(".jsonl").read_text().splitlines()]
    assert len(lines) == len(entries)
    story = [entry["event"] for entry in entries if entry.get("run") == demo.run["id"]]
    assert (story[0], story[-1]) == ("run.created", "run.finished")
    assert demo.run["steps"]["committed_repeated"] == 0


def test_the_demo_as_json_is_one_document(tmp_path: Path) -> None:
    with a_project(tmp_path / "project", {}) as project:
        (run,) = project.call_json("demo", "--provider", "rehearsal")
    assert (run["status"], len(run["artifacts"])) == ("succeeded", 4)


def test_a_goal_of_ones_own_is_not_claimed_to_be_done_by_the_rehearsal(tmp_path: Path) -> None:
    with a_project(tmp_path / "project", {}) as project:
        folder = project.root / "mine"
        folder.mkdir()
        (folder / "README.md").write_text("# A clock\n")
        project.call("run", "--provider", "rehearsal", "--workspace", str(folder), "make", "the", "clock", "strike")
        review = (project.root / "artifacts" / project.show()["id"] / "review.md").read_text()
    assert "no model has read the change" in review
    assert "rehearsal" in (folder / "REHEARSAL_NOTES.md").read_text()

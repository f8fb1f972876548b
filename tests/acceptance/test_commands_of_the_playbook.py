"""What people type in an emergency, as the playbook has it, while a run is under way."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.logs.files import LogRotation
from tests.support.project import ProjectFolder, a_project, provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess

_EIGHT_DAYS = 8 * 86_400


@contextmanager
def following(project: ProjectFolder) -> Iterator[Path]:
    """`tail -f logs/orchestrator.log | grep ERROR`; yields the file that what it shows goes to.

    At a terminal grep passes each line on; before a file it has to be told to.
    """
    shown = project.root / "shown.txt"
    with shown.open("wb") as output:
        tail = subprocess.Popen(["tail", "-f", "logs/orchestrator.log"], cwd=project.root, stdout=subprocess.PIPE)
        grep = subprocess.Popen(["grep", "--line-buffered", "ERROR"], stdin=tail.stdout, stdout=output)
        try:
            yield shown
        finally:
            for process in (tail, grep):
                process.kill()
                process.communicate()


def break_configuration(project: ProjectFolder, word: str) -> None:
    """Cause an ERROR line that holds the word."""
    settings = project.settings
    settings["runtime"]["defaultProvider"] = word
    project.configure(settings)


def test_following_the_log_for_errors_shows_them_also_after_a_rotation(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        project.log.parent.mkdir()
        line = "2026-01-01T00:00:00.000Z INFO an.old.line\n"
        room_for_some_lines = 5_000
        project.log.write_text(line * ((LogRotation().max_bytes - room_for_some_lines) // len(line)))
        with following(project) as shown:
            command = project.start_run()
            provider.wait_for_calls(1)
            break_configuration(project, "nobody-one")
            wait_until(lambda: "nobody-one" in shown.read_text(), "for the first error to be shown")
            wait_until(lambda: list(project.log.parent.glob("orchestrator.log.*")), "for the log to be rotated")
            break_configuration(project, "nobody-two")
            wait_until(lambda: "nobody-two" in shown.read_text(), "for the second error to be shown")
            assert command.wait() == 0, command.output
            lines = shown.read_text().splitlines()
    assert all(" ERROR configuration.refused" in line for line in lines)
    assert len(lines) == 2


def test_deleting_old_logs_and_artifacts_while_a_run_is_under_way_does_no_harm(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        old = project.root / "artifacts" / "run-old"
        old.mkdir(parents=True)
        (old / "plan.md").write_text("an old plan\n")
        command = project.start_run()
        wait_until(lambda: list(project.root.glob("artifacts/run-1*/plan.md")), "for the plan")
        make_old(project.root / "logs", project.root / "artifacts")
        for folder in ("logs/", "artifacts/"):
            # It may find that a folder is not empty any more, says so, and leaves it.
            subprocess.run(["find", folder, "-mtime", "+7", "-delete"], cwd=project.root, check=False)
        assert not old.exists()
        assert command.wait() == 0, command.output
        run = project.show()
        assert run["status"] == "succeeded"
        written = {path.name for path in (project.root / "artifacts" / run["id"]).iterdir()}
        assert {"changes.patch", "test-report.md", "review.md"} <= written
        assert "run.finished" in project.log.read_text()


def make_old(*folders: Path) -> None:
    """Set everything back to before last week, as if the run had begun then; folders after what is in them."""
    then = time.time() - _EIGHT_DAYS
    for folder in folders:
        for path in [*sorted(folder.rglob("*"), reverse=True), folder]:
            os.utime(path, (then, then))


def test_agents_at_work_are_seen_by_ps(provider: RehearsalProcess, tmp_path: Path) -> None:
    """`ps aux | grep python | grep agents`: a command that an agent runs is held by a process of that name."""
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        project.start_run("--check", "sleep 61.75")

        def seen() -> list[str]:
            listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
            return [line for line in listed.splitlines() if "python" in line and "agents" in line and "61.75" in line]

        wait_until(seen, "for ps to show it")

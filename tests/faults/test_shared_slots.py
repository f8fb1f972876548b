"""A provider that takes few calls at once gets no more, however many processes want it, and whichever are killed."""

from __future__ import annotations

from pathlib import Path

from orchestration.rehearsal import samples
from tests.support.patience import patient
from tests.support.project import Command, ProjectFolder, a_project, provider_at
from tests.support.rehearsal import a_provider

_LIMIT = 2


def a_run(project: ProjectFolder, number: int) -> Command:
    """A run with a workspace of its own."""
    sample = samples.copy_to(project.root / f"work{number}")
    check = ("--check", " ".join(sample.test_command))
    return project.start("run", "--workspace", str(sample.workspace), *check, sample.goal)


def test_runs_of_several_processes_and_a_kill_never_exceed_the_limit_together(tmp_path: Path) -> None:
    with (
        a_provider(latency_ms=1) as provider,
        a_project(tmp_path / "p", {"first": provider_at(provider.url, concurrency=_LIMIT)}) as project,
    ):
        runs = [a_run(project, number) for number in range(3)]
        provider.wait_for_calls(6)
        runs[0].kill()
        assert [run.wait(patient(180)) for run in runs[1:]] == [0, 0], [run.output for run in runs]
        # Nobody has to free what the killed process had.
        (killed,) = [run["id"] for run in project.call_json("runs", "list") if run["status"] != "succeeded"]
        assert project.start("runs", "resume", killed).wait(patient(180)) == 0
        assert provider.most_at_once() == _LIMIT

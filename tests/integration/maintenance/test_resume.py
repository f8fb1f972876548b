"""A backup while a run is under way, and the run taken up again from what was restored; through the console command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine_rows import committed_steps
from tests.support.project import ProjectFolder, a_project, provider_at
from tests.support.rehearsal import RehearsalProcess, a_provider

_AGENTS_AT_ONCE = 2


@pytest.fixture
def provider() -> Iterator[RehearsalProcess]:
    with a_provider(latency_ms=2) as one:
        yield one


def back_up_and_kill(project: ProjectFolder, provider: RehearsalProcess) -> None:
    """Begin a run that asks before its end, make a backup in the middle of it, and kill the run."""
    command = project.start_run("--approve", "reviewer")
    provider.wait_for_calls(9)
    project.call("backups", "make")
    assert command.process.poll() is None
    command.kill()


def check_the_run_goes_on(project: ProjectFolder, provider: RehearsalProcess, database: Path | str) -> None:
    """No step that the backup holds is done again; what came after it is."""
    before = len(provider.calls())
    begun = committed_steps(database, project.show()["id"])
    assert begun > 0
    command = project.start("runs", "resume", "latest")
    command.wait_for("waits for approval")
    project.call("runs", "approve", "latest", "--reason", "looks right")
    assert command.wait() == 0, command.output
    run = project.show()
    assert (run["status"], run["outcome"]["verdict"]) == ("succeeded", "approved")
    assert run["steps"]["committed_repeated"] == 0
    assert len(provider.calls()) < before + committed_steps(database, run["id"]) - begun + _AGENTS_AT_ONCE


def test_a_run_goes_on_from_the_backup_when_the_disk_with_the_database_was_lost(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        settings = project.settings
        project.configure({**settings, "maintenance": {"backups": {"directory": str(tmp_path / "elsewhere")}}})
        back_up_and_kill(project, provider)
        for path in (project.root / "var").glob("*.db*"):
            path.unlink()
        project.call("backups", "restore", "latest", "--yes")
        assert "backup.restored" in project.log.read_text(encoding="utf-8")
        check_the_run_goes_on(project, provider, project.root / "var" / "engine.db")


def test_the_same_on_postgresql(provider: RehearsalProcess, tmp_path: Path, postgres_url: str) -> None:
    providers = {"first": provider_at(provider.url)}
    with a_project(tmp_path / "p", providers, databaseUrlEnv="DATABASE_URL") as project:
        project.write_env(DATABASE_URL=postgres_url)
        back_up_and_kill(project, provider)
        project.call("runs", "cancel", "latest")  # which the backup knows nothing of
        restored = project.call_json("backups", "restore", "latest", "--yes")
        assert restored["aside"].startswith("the database test_")
        check_the_run_goes_on(project, provider, postgres_url)


def test_a_restore_is_refused_while_a_run_is_at_work(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        command = project.start_run("--approve", "planner")
        command.wait_for("waits for approval")
        project.call("backups", "make")
        said = project.call("backups", "restore", "latest", "--yes", code=1)
        assert f"the database is in use by process {command.process.pid}" in said
        assert command.process.poll() is None


def test_nobody_opens_a_database_that_is_being_restored(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        project.call("runs", "list")
        project.call("backups", "make")
        (project.root / "var" / "restore-unfinished").touch()
        assert "run `orchestrator backups restore BACKUP` again" in project.call("runs", "list", code=2)
        project.call("backups", "restore", "latest", "--yes")
        project.call("runs", "list")

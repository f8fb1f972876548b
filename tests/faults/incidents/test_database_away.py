"""The database is stopped, locked, moved away or damaged under a served project: that is a P0 of its own, told without
the database, kept in a file, handed over when it is back, and told of its end."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from tests.acceptance.incidents.conftest import Watch
from tests.support.postgres import a_postgres_server
from tests.support.project import Command, provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess
from tests.support.watched import PROBED_SOON, Watched, a_watched_project

EVERYBODY = (("ada", "hook"), ("ada", "mail"), ("ben", "mail"), ("cleo", "mail"), ("sam", "mail"))


def check_told_without_the_database(project: Watched, serve: Command, detail: str) -> None:
    project.check_told(*EVERYBODY)
    (mail, *_) = project.mails("INCIDENT")
    assert mail["Subject"].strip() == "[INCIDENT] [Severity: P0] The database does not answer"
    text = mail.get_content()
    assert detail in text
    assert "Impact: all of it: without the database nothing new can be recorded" in text
    assert "The database cannot be written. This was sent without it and is kept in a file." in text
    assert serve.process.poll() is None, serve.output
    assert "[INCIDENT] [Severity: P0] The database does not answer" in serve.output, "standard error is told too"
    assert journal(project), "it is kept in a file"


def check_handed_over(project: Watched) -> None:
    """The incident is the one that people were told of, and they are told of its end, each once."""
    project.check_told(*EVERYBODY, heading="RESOLVED")
    (incident,) = project.call_json("incidents", "list")
    assert (incident["scenario"], incident["severity"], incident["status"]) == ("control-plane", "P0", "resolved")
    assert all(
        incident["id"] in mail.get_content() for mail in [*project.mails("INCIDENT"), *project.mails("RESOLVED")]
    )
    project.check_told(*EVERYBODY)
    assert not journal(project)


def journal(project: Watched) -> str:
    path = project.root / "var" / "journal" / "incidents.jsonl"
    return path.read_text() if path.exists() else ""


def test_postgresql_is_stopped_and_started_again_under_a_run(provider: RehearsalProcess, tmp_path: Path) -> None:
    providers = {"first": provider_at(provider.url, breaker=PROBED_SOON)}
    settings = {"runtime": {"databaseUrlEnv": "DATABASE_URL"}}
    with a_postgres_server() as server, a_watched_project(tmp_path / "p", providers, **settings) as project:
        url = server.new_database()
        project.write_env(DATABASE_URL=url)
        serve = project.start("serve", "--workers", "1")
        serve.wait_for("serving ")
        wait_until(lambda: leads(url), "for the control process to lead")
        project.start_run("--queue")
        provider.wait_for_calls(4)
        server.stop()
        check_told_without_the_database(project, serve, "connection failed")
        server.start()
        check_handed_over(project)
        wait_until(lambda: status(project) == "succeeded", "for the run to go on by itself", 90)
        assert "replaced" not in serve.output, "the worker has waited for the database"


def leads(url: str) -> bool:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return bool(connection.execute(sa.text("SELECT 1 FROM leases WHERE name = 'leader'")).all())
    finally:
        engine.dispose()


def status(project: Watched) -> str:
    time.sleep(0.5)
    (run,) = project.call_json("runs", "list")
    return str(run["status"])


def test_a_file_that_another_program_keeps_locked(watch: Watch) -> None:
    with watch() as project:
        serve = project.serve(workers=0)
        with closing(sqlite3.connect(project.root / "var" / "orchestrator.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            # It is looked at every 2 s, and the lock is given 4 s; nobody may wait for it longer than that.
            wait_until(lambda: len(project.pages()) == len(EVERYBODY), "for everybody to be told", 25)
            check_told_without_the_database(project, serve, "orchestrator.db cannot be written for 4 s")
            other.execute("ROLLBACK")
        check_handed_over(project)


def test_a_file_that_is_moved_away_and_put_back(watch: Watch) -> None:
    with watch() as project:
        serve = project.serve()
        file = project.root / "var" / "orchestrator.db"
        file.rename(project.root / "away.db")
        check_told_without_the_database(project, serve, "the database file orchestrator.db is gone")
        refused = project.call("incidents", "list", code=2)
        assert "Put it back, restore it from a backup" in refused
        assert not file.exists(), "nobody begins a new one in its place"
        (project.root / "away.db").rename(file)
        check_handed_over(project)


def test_a_file_that_is_damaged_is_told_as_corruption(watch: Watch) -> None:
    with watch() as project:
        serve = project.serve(workers=0)
        for name in ("orchestrator.db", "orchestrator.db-wal"):  # what is in the log beside it counts as well
            with (project.root / "var" / name).open("r+b") as stream:
                size = stream.seek(0, 2)
                stream.seek(4096)
                stream.write(b"rubbish!" * ((size - 4096) // 8))
        wait_until(lambda: len(project.pages("INCIDENT")) >= len(EVERYBODY), "for everybody to be told", 60)
        time.sleep(1)
        told = project.pages("INCIDENT")
        subjects = {mail["Subject"].strip() for mail in project.mails("INCIDENT")}
        assert any("The database" in subject for subject in subjects), subjects
        assert {(person, channel) for _, person, channel in told} == set(EVERYBODY)
        assert len(told) == len(set(told)) * len(subjects), "each trouble is told once"
        assert serve.process.poll() is None

"""A control process that starts while the database is away waits for it, and tells people: nobody else would."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.project import provider_at, wait_until
from tests.support.rehearsal import a_provider
from tests.support.watched import Watched, a_watched_project


@contextmanager
def locked(project: Watched) -> Iterator[None]:
    """The database, held by another program for as long as the block lasts."""
    project.call("status")  # makes it
    path = project.root / "var" / "orchestrator.db"
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_it_tells_people_waits_and_goes_on(tmp_path: Path) -> None:
    with a_provider() as first, a_watched_project(tmp_path / "p", {"first": provider_at(first.url)}) as project:
        with locked(project):
            serving = project.start("serve", "--workers", "0")
            serving.wait_for("waiting for it")
            wait_until(lambda: project.mails("INCIDENT"), "for a mail", 90)
            text = project.mails("INCIDENT")[0].get_content()
            assert "database is locked" in text
            assert "This was sent without it and is kept in a file." in text
        serving.wait_for("serving ")
        # The incident that people were told of is there, under the name that they were told.
        assert project.wait_for_incident("resolved", 60) == ("control-plane", "P0", "resolved")
        ((name,),) = project.rows("SELECT id FROM incidents")
        assert name in text
        assert project.call_json("incidents", "show", name)["ended_by"] == "proof"
        # And they are told once, although the one who told them did not know the database yet.
        project.check_over()


def test_it_can_be_stopped_while_it_waits(tmp_path: Path) -> None:
    with a_watched_project(tmp_path / "p", {}) as project, locked(project):
        serving = project.start("serve", "--workers", "0")
        serving.wait_for("waiting for it")
        serving.process.send_signal(signal.SIGTERM)
        assert serving.wait() == 0
        assert serving.output.rstrip().endswith("stopped")

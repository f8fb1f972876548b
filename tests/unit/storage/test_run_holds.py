"""Why runs do not go on: recorded as a value; a migration reads it out of the sentences of earlier versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.storage import migrations
from orchestration.storage.database import Database
from orchestration.storage.runs import Run, Runs

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/orchestrator.db")
    database.migrate()
    yield database
    database.close()


def downgrade(database: Database, version: str) -> None:
    settings = Config()
    settings.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.write() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, version)


def test_a_hold_is_recorded_and_forgotten_when_the_run_goes_on(database: Database) -> None:
    runs = Runs(database)
    runs.add(Run("run-1", "g", "/w", NOON))
    runs.set_status("run-1", RunStatus.STOPPED, "too slow", hold=RunHold.PAUSED_BY_RESPONSE, held_by="inc-1")
    held = runs.get("run-1")
    assert (held.hold, held.held_by, held.reason) == (RunHold.PAUSED_BY_RESPONSE, "inc-1", "too slow")
    runs.reopen("run-1")
    assert (runs.get("run-1").hold, runs.get("run-1").held_by) == (None, None)
    runs.set_status("run-1", RunStatus.WAITING, "no provider", hold=RunHold.NO_PROVIDER)
    runs.set_status("run-1", RunStatus.RUNNING)
    assert runs.get("run-1").hold is None


EARLIER = {
    ("waiting", "no provider can answer now (own: open)"): (RunHold.NO_PROVIDER, None),
    ("stopped", "no provider can answer now (own: open)"): (RunHold.NO_PROVIDER, None),
    ("waiting", "waits for approval: may executor start?"): (RunHold.APPROVAL, None),
    ("stopped", "paused by inc-20260301-1: too many runs"): (RunHold.PAUSED_BY_RESPONSE, "inc-20260301-1"),
    ("stopped", "stopped by inc-20260301-1: it hangs"): (RunHold.STOPPED_BY_RESPONSE, "inc-20260301-1"),
    ("stopped", "its worker was stopped; the next one goes on with it"): (RunHold.WORKER_STOPPED, None),
    ("stopped", "it was interrupted"): (RunHold.INTERRUPTED, None),
    ("stopped", "nobody reads its output any more"): (RunHold.INTERRUPTED, None),
    ("stopped", "no worker takes it any more"): (RunHold.INTERRUPTED, None),
    ("stopped", "until Monday"): (RunHold.PAUSED_BY_PERSON, None),
    ("cancelled", "not now"): (RunHold.CANCELLED_BY_PERSON, None),
    ("cancelled", "the fork did not help"): (RunHold.STOPPED_BY_RESPONSE, None),
    ("running", ""): (None, None),
    ("failed", "no provider is configured"): (None, None),
}


def test_runs_of_earlier_versions_get_the_hold_that_their_sentence_meant(database: Database) -> None:
    runs = Runs(database)
    for number, (status, reason) in enumerate(EARLIER):
        runs.add(Run(f"run-{number:02}", "g", "/w", NOON, RunStatus(status), reason))
    runs.add(Run("run-fork", "g", "/w", NOON, origin="fork of run-00 at 3"))
    downgrade(database, "0010")
    with database.read() as connection:
        assert "hold" not in {column["name"] for column in sa.inspect(connection).get_columns("runs")}
    database.migrate()
    found = [runs.get(f"run-{number:02}") for number in range(len(EARLIER))]
    assert [(run.hold, run.held_by) for run in found] == list(EARLIER.values())
    assert runs.get("run-fork").forked_from == "run-00"

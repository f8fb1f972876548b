"""The watch for secrets in what agents write, on real files and a real database."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.monitoring.collectors.scan_record import FoundSecret, ScannedFile, ScanRecord
from orchestration.monitoring.collectors.secrets import SecretWatch
from orchestration.security.redaction import Redactor
from orchestration.storage.artifacts import ArtifactRecord, ArtifactTable
from orchestration.storage.database import Database
from orchestration.storage.runs import Run, Runs

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = "sk-" + "a1b2c3d4e5" * 3
TOKEN = "ghp_" + "A1b2C3d4E5" * 3


class House:
    """A project's artifacts, a workspace, and the watch, which can be begun anew."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.artifacts = root / "artifacts"
        self.workspace = root / "work"
        self.workspace.mkdir()
        self.table = ArtifactTable(database)
        self.runs = Runs(database)
        self.clock = FakeClock(NOON)
        self.record = ScanRecord(root / "var" / "secret-scan.json")
        self.restart()

    def restart(self) -> None:
        find = Redactor().find
        own = (self.root / "var", self.root / "logs")
        self.watch = SecretWatch(self.artifacts, self.table, self.runs, find, self.clock, self.record, own)

    def run(
        self,
        name: str,
        status: RunStatus = RunStatus.RUNNING,
        finished_at: datetime | None = None,
        workspace: Path | None = None,
    ) -> None:
        started = NOON - timedelta(hours=1)
        self.runs.add(Run(name, "g", str(workspace or self.workspace), started, status, finished_at=finished_at))

    def write(self, name: str, text: str, at: datetime | None = None) -> Path:
        """Write a file in the workspace, or among the artifacts, as it would be at noon."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        moment = (at or NOON).timestamp()
        os.utime(path, (moment, moment))
        return path

    def hears(self, kind: str, run: str = "run-1") -> tuple[Signal, ...]:
        assert self.watch.on_event(Event(kind, self.clock.now(), run)) == ()
        return self.watch.scan_due()


@pytest.fixture
def house(tmp_path: Path, database: Database) -> House:
    return House(tmp_path, database)


def test_a_secret_is_found_with_its_run_and_its_agent_and_seen_to_be_gone(house: House) -> None:
    house.run("run-1")
    assert house.watch.collect() == ()
    plan = house.write("artifacts/run-1/plan.md", f"# Plan\n{KEY}\n")
    house.table.save(ArtifactRecord("run-1", "plan.md", "planner", "0", 9, NOON))
    (signal,) = house.watch.collect()
    place = "artifacts/run-1/plan.md"
    assert signal.labels == {"kind": "openai-key", "place": place, "run": "run-1", "agent": "planner"}
    assert signal.evidence == {"redacted": False, "suspected": False, "lines": [2]}
    settings = house.write("work/settings.py", f"KEY = '{KEY}'\n")
    house.runs.set_status("run-1", RunStatus.SUCCEEDED)
    (signal,) = house.watch.collect()
    assert (signal.labels["run"], signal.labels["place"]) == ("run-1", str(settings))
    assert house.watch.collect() == ()

    found = signal.labels
    settings.write_text(f"# changed\nKEY = '{KEY}'\n")
    assert house.watch.collect() == ()
    settings.write_text("KEY = ''\n")
    (gone,) = house.watch.collect()
    assert (gone.name, gone.value, gone.labels) == ("secret_found", 0.0, found)
    plan.unlink()
    (gone,) = house.watch.collect()
    assert (gone.value, gone.labels["place"]) == (0.0, place)
    assert house.watch.collect() == ()


def test_in_the_projects_own_folder_what_this_system_keeps_there_was_written_by_no_run(house: House) -> None:
    house.run("run-1", workspace=house.root)
    for own in ("var/reviews/inc-1.md", "logs/orchestrator.log", "work/var/config.py"):
        house.write(own, KEY)
    (signal,) = house.watch.collect()
    assert signal.labels["place"] == str(house.root / "work/var/config.py"), (
        "a folder of that name elsewhere is not ours"
    )


def test_of_what_only_its_surroundings_give_away_is_said_that_it_is_suspected_also_when_it_is_gone(
    house: House,
) -> None:
    house.run("run-1")
    settings = house.write("work/settings.py", "password = 'Sommer-2026-am-See'\n")
    (signal,) = house.watch.collect()
    assert signal.evidence == {"redacted": False, "suspected": True, "lines": [1]}
    settings.unlink()
    (gone,) = house.watch.collect()
    assert (gone.value, gone.evidence) == (0.0, {"redacted": False, "suspected": True})


@pytest.mark.parametrize("kind", ["tool_call.finished", "artifact.written", "agent.finished", "run.finished"])
def test_a_step_that_is_committed_has_its_run_looked_at_and_only_that(house: House, kind: str) -> None:
    house.run("run-1")
    house.write("work/settings.py", f"KEY = '{KEY}'\n")
    house.write("artifacts/run-1/notes.md", TOKEN)
    house.write("artifacts/run-2/notes.md", TOKEN)
    found = {(signal.labels["place"], signal.labels["run"]) for signal in house.hears(kind)}
    assert found == {(str(house.workspace / "settings.py"), "run-1"), ("artifacts/run-1/notes.md", "run-1")}
    assert not house.watch.is_due
    assert house.hears(kind) == (), "what is known is not told again"


def test_other_events_and_runs_that_nobody_knows_cost_nothing(house: House) -> None:
    house.write("work/settings.py", KEY)
    house.watch.on_event(Event("model_call.finished", NOON, "run-1"))
    house.watch.on_event(Event("agent.finished", NOON))
    assert not house.watch.is_due
    assert house.hears("run.finished", "run-of-another-database") == ()


def test_a_run_that_begins_and_ends_between_two_looks_is_looked_at(house: House) -> None:
    house.run("run-1", RunStatus.SUCCEEDED, NOON)
    house.write("work/settings.py", KEY)
    (signal,) = house.watch.collect()
    assert signal.labels["run"] == "run-1"


def test_more_of_the_same_in_a_file_is_told(house: House) -> None:
    house.run("run-1")
    house.write("work/settings.py", KEY)
    house.hears("tool_call.finished")
    house.write("work/settings.py", f"{KEY}\n{KEY}")
    (signal,) = house.hears("tool_call.finished")
    assert (signal.value, signal.evidence["lines"]) == (2.0, [1, 2])


def test_what_ended_while_nobody_watched_is_looked_at_after_the_restart_and_nothing_else(house: House) -> None:
    house.run("run-1", RunStatus.SUCCEEDED, NOON)
    old = house.write("work/settings.py", KEY)
    assert len(house.watch.collect()) == 1
    house.clock = FakeClock(NOON + timedelta(hours=2))
    house.run("run-2", RunStatus.SUCCEEDED, NOON + timedelta(hours=1))
    house.write("artifacts/run-2/late.md", TOKEN, NOON + timedelta(hours=1))
    new = house.write("work/new.py", TOKEN, NOON + timedelta(hours=1))
    house.restart()
    found = {(signal.labels["place"], signal.labels["run"]) for signal in house.watch.collect()}
    assert found == {(str(new), "run-2"), ("artifacts/run-2/late.md", "run-2")}
    house.restart()
    assert house.watch.collect() == ()

    old.unlink()
    house.restart()
    (gone,) = house.watch.collect()
    assert (gone.value, gone.labels["place"]) == (0.0, str(old)), "what was found before the restart is still watched"


def test_a_run_that_was_stopped_while_nobody_watched_is_looked_at_once(house: House) -> None:
    house.run("run-1", RunStatus.STOPPED)
    house.write("work/settings.py", KEY)
    assert len(house.watch.collect()) == 1
    house.write("work/more.py", KEY)
    assert [Path(signal.labels["place"]).name for signal in house.watch.collect()] == ["more.py"]
    house.write("work/of-the-user.py", KEY)
    assert house.watch.collect() == ()


def test_a_workspace_that_is_too_much_for_one_look_is_read_to_its_end_also_after_its_run(house: House) -> None:
    house.run("run-1")
    for number in range(25):
        house.write(f"work/{number:02}.txt", f"{KEY}\n" + "x" * 1_900_000)
    assert len(house.hears("tool_call.finished")) == 10
    assert house.watch.is_due
    house.runs.set_status("run-1", RunStatus.STOPPED)
    assert [len(house.watch.collect()) for _ in range(3)] == [10, 5, 0]


def test_the_first_watch_of_all_looks_back_a_day(house: House) -> None:
    house.run("run-1", RunStatus.SUCCEEDED, NOON - timedelta(hours=30))
    house.write("work/settings.py", KEY)
    assert house.watch.collect() == ()


def test_the_newest_runs_artifacts_come_first_however_many_there_are(house: House) -> None:
    for number in range(5_001):
        house.write(f"artifacts/run-{number:05}/plan.md", "# Plan")
    house.write("artifacts/run-05000/notes.md", KEY)
    assert [signal.labels["place"] for signal in house.watch.collect()] == ["artifacts/run-05000/notes.md"]


def test_a_secret_is_told_also_when_what_is_known_cannot_be_written(house: House) -> None:
    (house.root / "var" / "secret-scan.json").mkdir(parents=True)
    house.run("run-1")
    house.write("work/settings.py", KEY)
    assert len(house.hears("tool_call.finished")) == 1
    (house.root / "var" / "secret-scan.json").rmdir()
    house.watch.collect()
    seen = house.record.read()
    assert seen is not None
    assert list(seen.standing) == [house.workspace / "settings.py"]


def test_neither_a_secret_nor_a_name_that_holds_one_is_kept(house: House) -> None:
    house.run("run-1")
    house.write("work/settings.py", KEY)
    house.write(f"work/{TOKEN}.txt", KEY)
    assert len(house.hears("tool_call.finished")) == 2
    kept = (house.root / "var" / "secret-scan.json").read_text()
    assert "settings.py" in kept
    assert KEY not in kept
    assert TOKEN not in kept


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"until": "soon", "files": []}', '{"until": "2026-03-01T12:00:00", "files": []}', "\0"]
)
def test_a_record_that_is_not_as_it_should_be_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "scan.json").write_text(text)
    assert ScanRecord(tmp_path / "scan.json").read() is None


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = ScanRecord(tmp_path / "var" / "scan.json")
    assert record.read() is None
    standing = {
        Path("/w/a.py"): ScannedFile((5, 7), {"password": FoundSecret({"kind": "password", "place": "a"}, 2)}),
        Path("/w/gone.py"): ScannedFile(None),
    }
    record.write(NOON, standing.items())
    seen = record.read()
    assert seen is not None
    assert (seen.until, seen.standing) == (NOON, standing)

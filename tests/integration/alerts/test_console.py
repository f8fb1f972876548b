"""`orchestrator alerts` and `orchestrator silences` in a project of their own."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestration.cli import cli
from orchestration.cli.silences import read_duration, read_time
from orchestration.errors import OrchestratorError, UsageError
from tests.support.alerts import Bench
from tests.support.database import migrated

SHIPPED = Path(__file__).parents[3] / "config/agents.config.json"


class Console:
    def __init__(self, root: Path) -> None:
        self.file = root / "config/agents.config.json"
        self.file.parent.mkdir()
        shutil.copy(SHIPPED, self.file)
        self.database = f"sqlite:///{root / 'var/orchestrator.db'}"

    def run(self, *arguments: str) -> str:
        """The output of a command; what it raises is raised."""
        done = CliRunner().invoke(cli, ["--config", str(self.file), *arguments], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done.output

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


@pytest.fixture
def fired(console: Console) -> Bench:
    """Two alerts: one fires, one is over."""
    database = migrated(console.database)
    bench = Bench(database)
    for value in (0, 1):
        bench.signal("provider_up", value, provider="openai")
        bench.evaluate()
    bench.now += timedelta(seconds=1)
    bench.signal("provider_up", 0, drill=True, provider="ollama")
    bench.evaluate()
    database.close()
    return bench


def test_alerts_that_fire_are_listed_and_with_all_those_that_are_over(console: Console, fired: Bench) -> None:
    listed = console.run("alerts", "list")
    assert "DRILL: Provider ollama is unavailable" in listed
    assert "openai" not in listed
    assert "openai" in console.run("alerts", "list", "--all")
    assert [one["status"] for one in console.json("alerts", "list", "--all")] == ["firing", "resolved"]
    assert console.json("alerts", "list", "--scenario", "workflow-stuck") == []
    assert len(console.json("alerts", "list", "--all", "--limit", "1")) == 1


def test_an_alert_is_shown_with_its_reason(console: Console, fired: Bench) -> None:
    (alert,) = console.json("alerts", "list")
    text = console.run("alerts", "show", alert["id"][-6:])
    for line in (
        "status      firing",
        "decision    new",
        "labels      provider=ollama",
        "facts       providers_down=1",
    ):
        assert line in text
    assert console.json("alerts", "show", alert["id"])["group_key"] == "drill:provider-unavailable:ollama"


def test_without_alerts_it_says_so_and_an_unknown_one_is_an_error_with_advice(console: Console) -> None:
    assert "no alert is firing" in console.run("alerts", "list")
    assert "there are no alerts yet" in console.run("alerts", "list", "--all")
    with pytest.raises(OrchestratorError, match="alerts list --all"):
        console.run("alerts", "show", "nothing")


def test_a_silence_is_added_listed_and_ended(console: Console) -> None:
    add = ("silences", "add", "agent=planner", 'host=~"web.*"', "--comment", "repair", "--author", "ada")
    added = console.json(*add, "--duration", "90m")
    assert (added["kind"], added["author"], added["comment"]) == ("silence", "ada", "repair")
    assert added["matchers"] == ['agent="planner"', 'host=~"web.*"']
    assert "in force" in console.run("silences", "list")
    assert "ended" in console.run("silences", "expire", added["id"][-5:])
    assert console.run("silences", "list") == "there are no active silences\n"
    assert [one["id"] for one in console.json("silences", "list", "--all")] == [added["id"]]


def test_a_silence_with_a_start_is_a_window_of_maintenance(console: Console) -> None:
    add = ("silences", "add", "host=a", "--comment", "upgrade", "--start", "2999-01-01T22:00+01:00", "--duration", "1d")
    added = console.json(*add)
    assert (added["kind"], added["starts_at"]) == ("maintenance", "2999-01-01T21:00:00Z")
    assert "to come" in console.run("silences", "list")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a=~.*"], "mute everything"),
        (["nonsense"], "a matcher such as"),
        (["a=b", "--duration", "soon"], "a duration"),
        (["a=b", "--start", "tomorrow"], "a time such as"),
        (["a=b", "--start", "2020-01-01T00:00Z"], "which has passed; give a later start"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(console: Console, arguments: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        console.run("silences", "add", *arguments, "--comment", "x")
    assert console.json("silences", "list", "--all") == []


def test_a_secret_in_a_comment_is_not_kept(console: Console) -> None:
    key = "ghp_" + "a1b2c3d4e5" * 4
    assert key not in json.dumps(console.json("silences", "add", "a=b", "--comment", f"token {key}"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("45 min", 2700), ("2h", 7200), ("1d", 86_400), ("1h30m", 5400)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "0s", "5", "h", "-1h", "1w", "367d", "1h x", "999999999d", "999999999d 999999999d"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a duration of at most 366 days"):
        read_duration(text)


def test_a_time_without_a_zone_is_utc() -> None:
    assert read_time("2026-03-01T22:00").isoformat() == "2026-03-01T22:00:00+00:00"

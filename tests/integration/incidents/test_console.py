"""The console: what somebody sees who has just been woken, and everything that they can do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestration.app import project
from orchestration.cli import cli
from orchestration.errors import OrchestratorError, UsageError
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import Incident, IncidentRefusedError
from orchestration.storage.incidents.figures import IncidentFigures
from tests.support.incidents import ADA, HALF, MACHINE, a_report

CONTACTS = [
    {"id": "ada", "level": 1, "channels": [{"channel": "log"}]},
    {"id": "ben", "level": 2, "channels": [{"channel": "log"}]},
]


class Console:
    """The command on a project of its own, with one P1 incident in it."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config" / "agents.config.json"
        self.config.parent.mkdir()
        self.configure(contacts=CONTACTS)
        self.incident = self.report()

    def configure(self, **response: Any) -> None:
        runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal"}}
        whole = {"runtime": runtime, "agents": [{"id": "planner"}], "response": response}
        self.config.write_text(json.dumps(whole))

    def report(self, **values: Any) -> Incident:
        at = datetime.now(UTC) - timedelta(minutes=9)
        with project(str(self.config)) as here:
            incident = here.incident_service.open_or_join(
                a_report(HALF, at, started_at=at - timedelta(minutes=1), **values)
            )
            return here.incident_service.execute(incident.id, MACHINE, BeginMitigation("restart executor"))

    def run(self, *arguments: str) -> Result:
        result = CliRunner().invoke(cli, ["--config", str(self.config), *arguments])
        if isinstance(result.exception, OrchestratorError):
            raise result.exception
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result

    def do(self, *arguments: str) -> str:
        result = self.run("incidents", *arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    return Console(tmp_path)


def test_the_first_screen_says_what_broke_and_what_to_do_before_anything_else(console: Console) -> None:
    lines = console.do("show", "latest").splitlines()
    assert lines[0] == "P1 MITIGATING: executor fails"
    text = "\n".join(lines[:14])
    for part in (
        "what       3 of its last 4 steps failed",
        "(10 min ago); detected by monitoring",
        "impact     agent executor",
        "why P1     multiple agents failing",
        "owner      nobody has acknowledged it",
        "SLA        response on-track",
        "SLA        resolution on-track",
        "tried      restart executor",
        f"now        orchestrator incidents ack {console.incident.id}",
        f"           orchestrator incidents show {console.incident.id}",
    ):
        assert part in text
    assert "detected by automation:monitoring" in lines[lines.index("Timeline (UTC):") + 1]


def test_show_as_json_has_everything(console: Console) -> None:
    shown = console.json("incidents", "show", console.incident.id[-4:])
    assert (shown["id"], shown["severity"], shown["status"]) == (console.incident.id, "P1", "mitigating")
    assert [entry["kind"] for entry in shown["timeline"]] == ["detected", "mitigating"]
    assert "page" in [timer["kind"] for timer in shown["timers"]]


def test_lists_are_short_and_narrowed(console: Console) -> None:
    assert console.incident.id in console.do("list")
    assert [row["id"] for row in console.json("incidents", "list", "--open", "--severity", "P1", "--since", "1h")] == [
        console.incident.id
    ]
    assert console.do("list", "--severity", "P0").strip() == "no matching incidents"


def test_everything_can_be_done_from_the_console(console: Console) -> None:
    name = console.incident.id
    other = console.report(key="provider", title="provider down").id
    console.do("ack", name)
    console.do("note", name, "looking at it")
    console.do("assign", name, "ben")
    console.do("impact", name, "no reviews", "--since", "20min")
    console.do("eta", name, "2h")
    console.do("escalate", name, "--level", "2", "--reason", "needs a decision")
    console.do("severity", name, "P0", "--reason", "all of them")
    console.do("merge", other, name)
    console.do("severity", name, "P2", "--reason", "only the test site")
    assert console.do("resolve", name, "--resolution", "smaller model", "--anyway").startswith(f"{name}: P2 resolved")
    console.do("reopen", name, "--reason", "again")
    console.do("resolve", name, "--resolution", "smaller model", "--root-cause", "too large", "--anyway")
    shown = console.json("incidents", "show", name)
    kinds = [entry["kind"] for entry in shown["timeline"]]
    for kind in ("acknowledged", "noted", "assigned", "impact-set", "estimate-set", "took-in", "reopened"):
        assert kind in kinds
    assert (shown["severity"], shown["assignee"]) == ("P2", "ben")
    assert console.json("incidents", "show", other)["merged_into"] == name


def test_an_incident_is_declared_with_a_start_that_is_past(console: Console) -> None:
    text = console.do("declare", "The shop is down", "--since", "20min", "--impact", "no orders", "--data-loss")
    assert text.endswith(": P0 detected: The shop is down\n")
    found = json.loads(console.do("declare", "the shop is down", "--json"))
    assert (text.partition(":")[0], found["severity"], found["impact"]) == (found["id"], "P0", "no orders")
    before = datetime.fromisoformat(found["detected_at"]) - datetime.fromisoformat(found["impact_started_at"])
    assert timedelta(minutes=20) <= before < timedelta(minutes=21)
    assert "declared by" in console.do("show", found["id"])
    with pytest.raises(UsageError, match="that is past"):
        console.run("incidents", "declare", "later", "--since", "2999-01-01")


def test_a_false_alarm_is_cancelled(console: Console) -> None:
    assert "cancelled" in console.do("cancel", "latest", "--reason", "the check is wrong")


def test_a_review_is_written_exported_and_closed(console: Console, tmp_path: Path) -> None:
    name = console.incident.id
    console.do("resolve", name, "--resolution", "smaller model", "--anyway")
    with pytest.raises(IncidentRefusedError, match="--set workarounds"):
        console.do("close", name)
    missing = console.json("incidents", "review", name)["missing"]
    parts = [part for field in missing for part in ("--set", f"{field}=none")]
    assert console.do("review", name, *parts).strip() == "missing: nothing"
    console.do("actions", name, "--add", "check sizes", "--owner", "ben", "--due", "14d")
    assert [item["text"] for item in console.json("incidents", "actions")] == ["check sizes"]
    assert "done" in console.do("actions", name, "--done", "1")
    assert console.do("actions").strip() == "no action items"
    assert "closed" in console.do("close", name)
    target = tmp_path / "review.md"
    console.do("export", name, "--output", str(target))
    assert target.read_text() == console.do("export", name)
    assert target.read_text().startswith("# Post-incident review: executor fails")
    assert console.json("incidents", "export", name)["status"] == "closed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "inc-nothing"), "There is no incident"),
        (("review", "latest", "--set", "mood=good"), "expected FIELD=TEXT"),
        (("review", "latest", "--set", "root-cause= "), "expected FIELD=TEXT"),
        (("actions", "--done", "1"), "name the incident whose action item"),
        (("actions", "latest", "--add", "x"), "every action item has both"),
        (("actions", "latest", "--done", "3"), r"expected an action item \(none\), got 3"),
        (("severity", "latest", "P1", "--reason", "x"), "is P1 already"),
        (("export", "latest", "--output", "/proc/none/review.md"), "a file that can be written"),
    ],
)
def test_a_wrong_word_is_answered_with_what_was_expected(
    console: Console, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(OrchestratorError, match=message):
        console.do(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [("list", "--since", "yesterday"), ("resolve", "latest"), ("severity", "latest", "P9", "--reason", "x")],
)
def test_wrong_usage_is_no_traceback(console: Console, arguments: tuple[str, ...]) -> None:
    assert console.run("incidents", *arguments).exit_code == 2


def test_stats_are_shown_and_printed(console: Console) -> None:
    console.do("ack", "latest")
    console.do("resolve", "latest", "--resolution", "mended", "--anyway")
    text = console.run("stats").output
    assert "MTTD" in text
    assert "SLA response: 100.0% (1 met, 0 breached)" in text
    assert "recurrence: 0.0% (0 of 1 resolved)" in text
    report = console.json("stats", "--since", "7d", "--by", "scenario")
    assert [group["name"] for group in report["groups"]] == ["agent-failure"]
    assert report["total"]["figures"][0]["n"] == 1
    assert console.json("stats", "--since", "all", "--severity", "P0")["total"]["count"] == 0
    assert report["relative_error"] == 0.0
    assert "within" not in text


def test_stats_of_very_many_incidents_say_how_precise_they_are(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(IncidentFigures.__init__, "__defaults__", (0,))
        with project(str(console.config)) as here:
            old = here.clock.now() - timedelta(days=3)
            patch.setattr(here.clock, "now", lambda: old)
            one = here.incident_service.open_or_join(a_report(HALF, old, key="old"))
            here.incident_service.mark_cleared("old", old)
            here.incident_service.execute(one.id, ADA, Resolve("mended"))
        assert "medians and 90th percentiles are within 1% of the true ones" in console.run("stats").output
        assert console.json("stats")["relative_error"] == 0.01


def test_who_is_on_call_is_shown_for_now_and_for_later(console: Console) -> None:
    rotation = {"id": "first", "level": 1, "members": ["ada", "ben"], "start": "2026-01-05", "days": 7}
    console.configure(contacts=CONTACTS, rotations=[rotation])
    shown = console.json("oncall", "show", "--at", "2026-01-13T10:00+00:00")
    assert [duty["contact"] for duty in shown["on_call"]] == ["ben"]
    assert shown["told_first"] == {"P0": ["ada", "ben"], "P1": ["ben"], "P2": ["ben"], "P3": []}
    assert [level["contacts"] for level in shown["levels"]] == [["ben"], ["ben"], []]
    assert "first" in console.run("oncall", "show").output


def test_without_contacts_on_call_says_what_happens_instead(console: Console) -> None:
    console.configure()
    assert "incidents only go to the log and the console" in console.run("oncall", "show").output

"""Drills and jobs that are begun over the API: real ones, in processes of their own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from orchestration.app.drill_sessions import DrillSessions
from orchestration.client import Client
from orchestration.errors import ConflictError, NotFoundError
from orchestration.security.principal import Role
from tests.support.console import command_line, is_there
from tests.support.patience import until
from tests.support.web import RunningWebServer

DRILL = "edit-refused"


@pytest.fixture
def client(server: RunningWebServer) -> Iterator[Client]:
    with Client(server.url, server.token(Role.OPERATOR)) as one:
        yield one
        if one.drills_under_way():
            one.stop_drills()
            until(lambda: one.drills_under_way() is None)


def kinds(server: RunningWebServer, after: int) -> list[tuple[str, Any]]:
    """What was said of drills since then."""
    found = server.app.timeline.list_since(after)
    return [(event.kind, event.data.get("drill")) for _, event in found if event.kind.startswith("drill.")]


def test_a_drill_is_held_in_a_project_of_its_own_and_leaves_nothing_here_but_its_result(
    server: RunningWebServer, client: Client
) -> None:
    # Other tests share the server, and may have left runs there.
    before, runs = server.app.timeline.last_sequence(), [run.id for run in client.runs().items]
    begun = client.begin_drills(DRILL, game_day="spring", key="once")
    assert client.begin_drills(DRILL, game_day="spring", key="once") == begun
    with pytest.raises(ConflictError, match="got some; wait for their end, or stop them"):
        client.begin_drills(DRILL)
    now = until(client.drills_under_way)
    assert (now.drills, now.game_day, now.actor) == ([DRILL], "spring", "test")
    # Asked of the timeline, since to ask the server again and again takes more of the machine than the drill.
    until(lambda: ("drill.concluded", None) in kinds(server, before), seconds=100)
    until(lambda: client.drills_under_way() is None)
    (result,) = client.drill_results(DRILL, 1)
    # On a busy machine a drill may rightly fail: that it was held and kept is what counts here.
    assert (result.drill, result.game_day, bool(result.misses)) == (DRILL, "spring", not result.passed)
    asked = [("drill.requested", None), ("drill.started", DRILL), ("drill.finished", DRILL), ("drill.concluded", None)]
    assert until(lambda: len(kinds(server, before)) == 4)
    assert kinds(server, before) == asked
    assert [one for one in client.incidents().items if one.drill] == []
    assert [run.id for run in client.runs().items] == runs
    with server.client() as admin:
        lines = admin.get("/api/v1/audit").json()["items"]
        assert [one["outcome"] for one in lines if one["action"] == "POST /api/v1/drills"] == [
            "refused",
            "done",
            "done",
        ]


def test_drills_that_are_stopped_take_everything_with_them(server: RunningWebServer, client: Client) -> None:
    client.begin_drills("agent-crashes", "agent-exits")
    until(lambda: (found := client.drills_under_way()) and found.current == "agent-crashes")
    (holder,) = [one for one in psutil.Process().children() if "drill --json" in command_line(one)]
    until(lambda: len(holder.children(recursive=True)) >= 3)  # its provider, its control process, a worker
    family = holder.children(recursive=True)
    assert client.stop_drills().current == "agent-crashes"
    until(lambda: client.drills_under_way() is None, seconds=60)
    assert [one for one in family if is_there(one)] == []
    assert client.drill_results("agent-crashes") == []
    with pytest.raises(ConflictError, match="got none"):
        client.stop_drills()


def test_drills_whose_process_was_killed_stand_in_nobodys_way(server: RunningWebServer, client: Client) -> None:
    before = server.app.timeline.last_sequence()
    client.begin_drills(DRILL)
    (holder,) = [one for one in psutil.Process().children() if "drill --json" in command_line(one)]
    holder.send_signal(signal.SIGKILL)
    until(lambda: "drill.concluded" in [kind for kind, _ in kinds(server, before)])
    assert client.drills_under_way() is None
    event = server.app.timeline.find_last("drill.concluded")
    assert event is not None
    assert event.data["message"] == "its process ended with exit code -9"
    assert DrillSessions(server.app).under_way() is None


def test_drills_are_listed_and_only_known_ones_are_held(client: Client) -> None:
    found = {one["name"]: one for one in client.drills()}
    assert found["provider-killed"]["scenario"] == "provider-unavailable"
    assert found["provider-killed"]["ending"] == "repaired"
    with pytest.raises(NotFoundError, match="got 'poetry'; there are "):
        client.begin_drills("poetry")
    assert client.drills_under_way() is None


def test_a_job_is_begun_once_and_what_came_of_it_is_told(server: RunningWebServer, client: Client) -> None:
    begun = client.run_job("backup", key="nightly")
    assert (begun.job, begun.actor, begun.outcome) == ("backup", "test", "running")
    assert client.run_job("backup", key="nightly").id == begun.id
    until(lambda: client.job_runs("backup")[0].outcome == "succeeded")
    (run,) = client.job_runs("backup")
    assert (run.id, "0 old deleted" in run.output) == (begun.id, True)
    (line,) = [one for one in client.maintenance_jobs() if one["job"] == "backup"]
    assert line["last"]["id"] == begun.id
    with pytest.raises(NotFoundError, match="there is no maintenance job"):
        client.run_job("poetry")


def test_a_job_that_is_being_done_is_not_begun_again(server: RunningWebServer, client: Client) -> None:
    name = "maintenance/daily-digest"
    server.app.leases.acquire(name, "somebody-else", 30)
    with pytest.raises(ConflictError, match="the job daily-digest is running already"):
        client.run_job("daily-digest")
    server.app.leases.release(name, "somebody-else")
    client.run_job("daily-digest")
    until(lambda: client.job_runs("daily-digest")[0].outcome == "succeeded")


def test_backups_duties_and_reports_are_looked_after(server: RunningWebServer, client: Client) -> None:
    client.run_job("monthly-duties")
    client.run_job("backup")
    until(lambda: [one.outcome for one in client.job_runs(limit=2)] == ["succeeded"] * 2)
    newest = client.get("/maintenance/backups")[0]
    checked = client.send("POST", f"/maintenance/backups/{newest['id']}/verify")
    assert (checked["backup"], checked["good"], checked["problems"]) == (newest["id"], True, [])
    waiting = [one["duty"] for one in client.get("/maintenance/duties", open=True)]
    assert "contacts" in waiting
    (signed,) = client.send("POST", "/maintenance/duties/contacts/sign-off", {"note": "each was reached"})
    assert (signed["signed_by"], signed["note"]) == ("test", "each was reached")
    with pytest.raises(ConflictError, match="is not waiting for a sign-off"):
        client.send("POST", "/maintenance/duties/contacts/sign-off", {"note": "again"})
    report = client.get("/maintenance/reports")[0]["report"]
    with server.client(Role.VIEWER) as viewer:
        assert viewer.get(f"/api/v1/maintenance/reports/{report}").text.startswith("# ")
        assert viewer.get("/api/v1/maintenance/reports/nothing").status_code == 404


def test_what_a_playbook_would_do_is_told_and_nothing_is_done(server: RunningWebServer, client: Client) -> None:
    plan = client.send("POST", "/playbooks/provider-unavailable/dry-run", {})
    assert plan["playbook"] == "provider-unavailable"
    assert {step["step"] for step in plan["looked"]} >= {"probe"}
    assert client.get("/playbook-runs", playbook="provider-unavailable") == []


def test_the_schema_and_the_state_of_the_machine_are_told(server: RunningWebServer, client: Client) -> None:
    assert "runtime" in client.get("/configuration/schema")["properties"]
    assert {one["health"] for one in client.get("/doctor")} <= {"ok", "warning", "problem"}

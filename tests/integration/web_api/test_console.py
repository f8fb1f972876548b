"""The console command on a server (`--server`), and the commands that say who may use one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result

from orchestration.app.playbooks import services_beside_control
from orchestration.cli import cli
from orchestration.client import Client, RefusedError, UnreachableError
from orchestration.domain.playbook_state import ActionState
from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.incidents.report import BlastRadius
from orchestration.playbooks.actions import ActionContext
from orchestration.playbooks.actions.registry import find_action
from orchestration.security.principal import Role
from orchestration.storage.approvals import Approval
from orchestration.storage.playbooks import ActionRun, PlaybookRecords
from orchestration.storage.runs import Run
from tests.support.console import ConsoleProject, free_port
from tests.support.incidents import HALF, a_report
from tests.support.web import PASSWORD, RunningWebServer

Call = Callable[..., Result]


@pytest.fixture
def there(server: RunningWebServer) -> Call:
    """The command with `--server`."""

    def call(*arguments: str, role: Role = Role.OPERATOR) -> Result:
        environment = {"ORCHESTRATOR_TOKEN": server.token(role), "COLUMNS": "120"}
        return CliRunner(env=environment).invoke(cli, ["--server", server.url, *arguments], standalone_mode=False)

    return call


@pytest.fixture
def incident(server: RunningWebServer) -> str:
    now = server.app.clock.now()
    report = a_report(
        at=now, key=f"console:{now.timestamp()}", title="it fails", blast_radius=BlastRadius(agents=("executor",))
    )
    return server.app.incident_service.open_or_join(report).id


def test_the_status_of_a_server_is_shown(there: Call) -> None:
    assert "unfinished runs" in there("status").output
    assert set(json.loads(there("status", "--json").stdout)) >= {"runs", "questions", "control"}


def test_a_run_is_started_shown_and_stopped_elsewhere(server: RunningWebServer, there: Call) -> None:
    workspace = str(server.project.workspace)
    begun = there("runs", "start", "--workspace", workspace, "--provider", "rehearsal", "--json", "say", "hello")
    run = json.loads(begun.stdout)["id"]
    assert run in there("runs", "list").output
    assert json.loads(there("runs", "show", run, "--json").stdout)["goal"] == "say hello"
    assert "goal: say hello" in there("runs", "show", run).output
    assert isinstance(there("runs", "approve", run).exception, ConflictError), "it asks nothing"
    there("runs", "cancel", run, "--reason", "a test")
    assert json.loads(there("runs", "show", run, "--json").stdout)["status"] in ("cancelled", "failed", "succeeded")


def test_an_incident_is_worked_elsewhere(there: Call, incident: str) -> None:
    assert incident in there("incidents", "list", "--open").output
    assert "it fails" in there("incidents", "ack", incident).output
    assert "it fails" in there("incidents", "note", incident, "looking").output
    assert "it fails" in there("incidents", "escalate", incident, "2", "--reason", "help").output
    assert "noted by user test" in there("incidents", "show", incident).output
    assert "resolved" in there("incidents", "resolve", incident, "--resolution", "restarted", "--anyway").output


def test_what_a_playbook_did_is_undone_elsewhere(server: RunningWebServer, there: Call, incident: str) -> None:
    app = server.app
    app.runs.add(Run("run-leak", "g", "/tmp", app.clock.now()))
    leaked = app.artifacts.path("run-leak", "notes.txt")
    leaked.parent.mkdir(parents=True, exist_ok=True)
    leaked.write_text("a secret")
    quarantine: Any = find_action("security.quarantine")(services_beside_control(app))
    context = ActionContext(incident, f"{incident}/set-aside", "playbook:p", "it holds a secret", app.clock.now())
    outcome = anyio.run(quarantine.run, context, quarantine.parameters(artifacts=("run-leak/notes.txt",)))
    assert not leaked.exists()
    PlaybookRecords(server.app.database).save_action(
        ActionRun(
            f"{incident}/set-aside", "playbook-run-elsewhere", incident, "mitigate", "set-aside", "security.quarantine",
            "reversible", "auto", ActionState.DONE, app.clock.now(), "playbook", summary=outcome.summary,
            undo=outcome.undo,
        )
    )  # fmt: skip
    # Not the JSON of the console: what the server in this process notifies people of is printed in between.
    assert f"{incident}: security.quarantine was undone" in there("incidents", "undo", incident, "set-aside").output
    assert leaked.read_text() == "a secret"
    assert "undone: moved run-leak/notes.txt" in there("incidents", "show", incident).output
    assert isinstance(there("incidents", "undo", incident, "set-aside").exception, ConflictError)
    assert isinstance(there("incidents", "undo", incident, "no-such").exception, NotFoundError)


def test_the_status_begins_with_what_is_severe_and_every_command_that_it_shows_works(
    server: RunningWebServer, there: Call
) -> None:
    now = server.app.clock.now()
    incident = server.app.incident_service.open_or_join(a_report(at=now, key="severe", facts=HALF)).id
    for number in (1, 2):
        question = f"Restart agent {number}.\nIt would: stop run {number}"
        server.app.approvals.add(Approval(f"severe-{number}", incident, question, now, role="responder"))
    # What the server in this process notifies people of is printed in between.
    lines = [line for line in there("status").output.splitlines() if line.startswith(("P1 ", "    answer", "question"))]
    assert lines[0].startswith("P1 not acknowledged for ")
    shown = [line.partition(f"orchestrator --server {server.url} ")[2] for line in lines]
    commands = [shlex.split(each.removesuffix("  (or deny)")) for each in shown if each]
    assert [command[:3] for command in commands if incident in command] == [
        ["incidents", "ack", incident],
        ["incidents", "approve", incident],
        ["incidents", "approve", incident],
    ]
    assert "Choose one with --question" in str(there("incidents", "deny", incident).exception)
    assert (
        f"answer: orchestrator --server {server.url} incidents approve" in there("incidents", "show", incident).output
    )
    for command in commands:
        if incident in command:
            assert there(*command).exception is None, command
    decided = [server.app.approvals.get(f"severe-{number}").decision for number in (1, 2)]
    assert decided == ["approved", "approved"]
    assert "owner: user test" in there("incidents", "show", incident).output
    assert incident not in there("status").output


def test_a_token_answers_only_what_its_areas_are_about(server: RunningWebServer) -> None:
    app, now = server.app, server.app.clock.now()
    incident = app.incident_service.open_or_join(a_report(at=now, key="areas")).id
    app.approvals.add(Approval("of-incident", incident, "restart it?", now, role="responder"))
    app.approvals.add(Approval("of-run", "run-of-another", "may it start?", now))
    with Client(server.url, server.token(Role.OPERATOR, scopes=("incidents",))) as client:
        assert {one["id"] for one in client.approvals()} >= {"of-incident"}
        assert "of-run" not in {one["id"] for one in client.approvals()}
        with pytest.raises(RefusedError, match="requires the role operator for runs"):
            client.decide("of-run", "approved")
        assert client.decide("of-incident", "denied")["decision"] == "denied"


def test_what_goes_wrong_elsewhere_is_one_sentence(there: Call, incident: str) -> None:
    assert isinstance(there("incidents", "ack", "inc-unknown").exception, NotFoundError)
    there("incidents", "ack", incident)
    assert isinstance(there("incidents", "ack", incident).exception, ConflictError)
    refused = there("incidents", "note", incident, "x", role=Role.VIEWER).exception
    assert isinstance(refused, RefusedError)
    assert (refused.status, "requires the role responder" in str(refused)) == (403, True)
    assert isinstance(there("config", "show").exception, UsageError)


def test_a_server_that_does_not_answer_is_said() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}") as client,
        pytest.raises(UnreachableError, match="orchestrator serve"),
    ):
        client.status()


def test_the_client_reads_lists_to_their_end_and_hears_events(server: RunningWebServer) -> None:
    with Client(server.url, server.token(Role.ADMIN)) as client:
        runs = [run.id for run in client.all_runs()]
        assert len(runs) == len(set(runs))
        number = server.app.timeline.last_sequence()
        server.app.bus.emit("client.heard", run_id="run-of-client", number=1)
        event = next(client.events(after=number, kinds=["client."]))
        assert (event.kind, event.run_id, event.data) == ("client.heard", "run-of-client", {"number": 1})
        assert event.id > number


def test_users_and_tokens_are_managed_at_the_console(tmp_path: Path) -> None:
    project = ConsoleProject(tmp_path / "project")

    def call(*arguments: str, given: str = "") -> Result:
        return CliRunner().invoke(cli, ["--config", str(project.file), *arguments], input=given, standalone_mode=False)

    password = f"{PASSWORD}\n"
    assert call("users", "add", "ada", "--role", "admin", "--password-stdin", given=password).stdout == "ada: admin\n"
    assert isinstance(call("users", "add", "ada", "--password-stdin", given=password).exception, ConflictError)
    assert isinstance(call("users", "add", "ben", "--password-stdin", given="short\n").exception, UsageError)
    assert isinstance(call("users", "disable", "ada").exception, ConflictError), "the last admin"
    assert call("users", "add", "ben", "--role", "admin", given=password * 2).exit_code == 0, "asked twice, unseen"
    assert "disabled" in call("users", "disable", "ada").output
    limits = ("--daily-tokens", "1000", "--requests-per-minute", "60")
    made = json.loads(call("tokens", "create", "app", "--gateway", *limits, "--json").stdout)
    assert made["token"]["limits"] == {"daily_tokens": 1000, "requests_per_minute": 60}
    assert made["token"]["scopes"] == ["gateway"]
    listed = call("tokens", "list").output
    assert "gateway" in listed
    assert made["secret"] not in listed
    assert "revoked" in call("tokens", "revoke", made["token"]["id"]).output
    assert "token revoked" in call("audit", "list").output
    assert call("audit", "verify").return_value == 0

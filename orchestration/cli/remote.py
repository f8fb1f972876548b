"""What the console command can do on a server (`--server URL`): runs, incidents, isolation, status. The token is
read from the variable ORCHESTRATOR_TOKEN, so that it stands in no list of processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from orchestration.cli import common
from orchestration.cli.command_parameters import add_commands
from orchestration.cli.isolate import echo_isolation_record, incident_option, print_isolation, reason_option
from orchestration.cli.output import echo
from orchestration.cli.questions import AskingSubject, add_answer_commands, asking_there, question_lines, question_of
from orchestration.cli.remote_incidents import incidents
from orchestration.cli.render import age, alarm_line, first_line, storm_line
from orchestration.cli.server import client_of, limit_option, print_record, print_records, program_of
from orchestration.clock import SystemClock
from orchestration.domain.goal import checked_goal
from orchestration.runs.commands.base import RunCommand
from orchestration.runs.commands.table import RUN_COMMANDS

__all__ = ["incidents", "isolate", "runs", "status"]

_run = click.argument("run", metavar="RUN")


@click.command()
@common.json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """What is going on on the server."""
    with client_of(context) as client:
        found = client.status()
    if as_json:
        common.print_json(found)
        return
    echo_isolation_record(found.get("isolation"))
    now, program = SystemClock().now(), program_of(context)
    # A server of an earlier version does not say which incidents nobody has acknowledged.
    for row in found.get("unacknowledged", ()):
        since = age(now, datetime.fromisoformat(row["detected_at"]))
        echo(alarm_line(row["id"], row["severity"], row["title"], since, program))
    for row in found.get("storms", ()):
        echo(storm_line(row["id"], row["severity"], row["title"], program))
    workers = sum(len(control["workers"]) for control in found["control"])
    questions = len(found["questions"])
    echo(f"{len(found['runs'])} unfinished runs, {questions} questions wait for an answer, {workers} workers")
    for line in question_lines([question_of(one) for one in found["questions"]], program):
        echo(line)
    # A server of an earlier version knows no heartbeats.
    for row in found.get("heartbeats", ()):
        since = age(now, datetime.fromisoformat(row["since"]))
        echo(f"heartbeat {row['name']}: {row['status']} since {since}; {row['expected']}")
    for route in found["providers"]:
        echo(f"out of use: {route['provider']}/{route['model']}, {route['reason']}, as of {route['since']}")


@click.group()
def isolate() -> None:
    """Isolation mode of the server."""


@isolate.command("on")
@reason_option
@incident_option
@common.json_option
@click.pass_context
def isolate_on(context: click.Context, reason: str, incident: str | None, as_json: bool) -> None:
    """Isolate the server's system."""
    with client_of(context) as client:
        found = client.isolate(reason, incident)
    print_isolation(found["isolation"], as_json, "" if found["changed"] else "It was isolated already.")


@isolate.command("off")
@reason_option
@common.json_option
@click.pass_context
def isolate_off(context: click.Context, reason: str, as_json: bool) -> None:
    """Lift the isolation."""
    with client_of(context) as client:
        found = client.lift_isolation(reason)
    print_isolation(None, as_json, "The isolation is lifted." if found["changed"] else "The system is not isolated.")


@isolate.command("status")
@common.json_option
@click.pass_context
def isolate_status(context: click.Context, as_json: bool) -> None:
    """Show whether the server's system is isolated, since when, by whom and why."""
    with client_of(context) as client:
        found = client.isolation()
    print_isolation(found["isolation"], as_json)


@click.group()
def runs() -> None:
    """Runs of the server."""


@runs.command("list")
@click.option("--status", "statuses", multiple=True, help="Only of this status. Repeatable.")
@limit_option
@common.json_option
@click.pass_context
def list_runs(context: click.Context, statuses: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the newest runs."""
    with client_of(context) as client:
        found = client.runs(status=statuses, limit=limit).items
    rows = [(one.id, one.status, f"{one.created_at:%Y-%m-%d %H:%M}", first_line(one.goal, 70)) for one in found]
    print_records(found, as_json, ("RUN", "STATUS", "CREATED (UTC)", "GOAL"), rows, "no runs that fit")


@runs.command("show")
@_run
@common.json_option
@click.pass_context
def show_run(context: click.Context, run: str, as_json: bool) -> None:
    """Show one run."""
    with client_of(context) as client:
        found = client.run(run)
    print_record(found, as_json, f"{found.id}: {found.status} {found.reason}".rstrip() + f"\ngoal: {found.goal}")


@runs.command("start")
@click.argument("goal", nargs=-1, required=True)
# Required: the console's own folder means nothing on another machine.
@click.option("--workspace", required=True, help="A folder on the server.")
@common.provider_option
@common.json_option
@click.pass_context
def start_run(
    context: click.Context, goal: tuple[str, ...], workspace: str, provider: str | None, as_json: bool
) -> None:
    """Begin a run on GOAL."""
    with client_of(context) as client:
        found = client.start_run(checked_goal(" ".join(goal)), workspace, provider=provider)
    print_record(found, as_json, f"{found.id}: {found.status}")


def _give(context: click.Context, run: str, command: RunCommand, as_json: bool) -> None:
    with client_of(context) as client:
        found = client.execute_on_run(run, command)
    print_record(found, as_json, f"{found.id}: {found.status}")


@contextmanager
def _asking(context: click.Context, text: str) -> Iterator[AskingSubject]:
    with client_of(context) as client:
        found = client.run(text)
        # By its full identifier: `latest` could name another run by now.
        yield asking_there(client, found.id, found.status)


add_answer_commands(
    runs,
    "RUN",
    _asking,
    approve="Approve the open question of a run.",
    deny="Deny the open question of a run.",
)
add_commands(runs, RUN_COMMANDS, "RUN", _give, remote=True)

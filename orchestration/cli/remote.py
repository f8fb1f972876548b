"""What the console command can do on a server (`--server URL`): runs, incidents, status. The token is read from the
variable ORCHESTRATOR_TOKEN, so that it stands in no list of processes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from orchestration.cli import common
from orchestration.cli.render import console, first_line, table
from orchestration.client import Client

TOKEN_VARIABLE = "ORCHESTRATOR_TOKEN"  # noqa: S105 (the variable's name)
_run = click.argument("run", metavar="RUN")
_incident = click.argument("incident", metavar="INCIDENT")
_reason = click.option("--reason", default="", help="Why.")
_limit = click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)


def client_of(context: click.Context) -> Client:
    """A client of the server that was named."""
    return Client(context.find_root().params["server"], os.environ.get(TOKEN_VARIABLE))


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
    workers = sum(len(control["workers"]) for control in found["control"])
    questions = len(found["questions"])
    click.echo(f"{len(found['runs'])} unfinished runs, {questions} questions wait for an answer, {workers} workers")
    for route in found["providers"]:
        click.echo(f"out of use: {route['provider']}/{route['model']}, {route['reason']}, as of {route['since']}")


@click.group()
def runs() -> None:
    """Runs of the server."""


@runs.command("list")
@click.option("--status", "statuses", multiple=True)
@_limit
@common.json_option
@click.pass_context
def list_runs(context: click.Context, statuses: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the newest runs."""
    with client_of(context) as client:
        found = client.runs(status=statuses, limit=limit).items
    rows = [(one.id, one.status, f"{one.created_at:%Y-%m-%d %H:%M}", first_line(one.goal, 70)) for one in found]
    _show(found, as_json, ("RUN", "STATUS", "CREATED (UTC)", "GOAL"), rows, "no runs that fit")


@runs.command("show")
@_run
@common.json_option
@click.pass_context
def show_run(context: click.Context, run: str, as_json: bool) -> None:
    """Show one run."""
    with client_of(context) as client:
        found = client.run(run)
    _say(found, as_json, f"{found.id}: {found.status} {found.reason}".rstrip() + f"\ngoal: {found.goal}")


@runs.command("start")
@click.argument("goal", nargs=-1, required=True)
@click.option("--workspace", required=True, help="A folder on the server.")
@common.provider_option
@common.json_option
@click.pass_context
def start_run(
    context: click.Context, goal: tuple[str, ...], workspace: str, provider: str | None, as_json: bool
) -> None:
    """Begin a run on GOAL."""
    with client_of(context) as client:
        found = client.start_run(common.checked_goal(" ".join(goal)), workspace, provider=provider)
    _say(found, as_json, f"{found.id}: {found.status}")


@runs.command("resume")
@_run
@common.json_option
@click.pass_context
def resume_run(context: click.Context, run: str, as_json: bool) -> None:
    """Go on with a run."""
    with client_of(context) as client:
        found = client.resume_run(run)
    _say(found, as_json, f"{found.id}: {found.status}")


@runs.command("cancel")
@_run
@_reason
@common.json_option
@click.pass_context
def cancel_run(context: click.Context, run: str, reason: str, as_json: bool) -> None:
    """Stop a run. It can be resumed."""
    with client_of(context) as client:
        found = client.cancel_run(run, reason)
    _say(found, as_json, f"{found.id}: {found.status}")


@runs.command("approve")
@_run
@_reason
@click.pass_context
def approve(context: click.Context, run: str, reason: str) -> None:
    """Say yes to what a run asks."""
    _decide(context, run, reason, approved=True)


@runs.command("deny")
@_run
@_reason
@click.pass_context
def deny(context: click.Context, run: str, reason: str) -> None:
    """Say no to what a run asks."""
    _decide(context, run, reason, approved=False)


@click.group()
def incidents() -> None:
    """Incidents of the server."""


@incidents.command("list")
@click.option("--status", "statuses", multiple=True)
@click.option("--severity", "severities", multiple=True)
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@_limit
@common.json_option
@click.pass_context
def list_incidents(
    context: click.Context,
    statuses: tuple[str, ...],
    severities: tuple[str, ...],
    only_open: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the newest incidents."""
    with client_of(context) as client:
        found = client.incidents(status=statuses, severity=severities, open=only_open or None, limit=limit).items
    rows = [
        (one.id, one.severity, one.status, f"{one.detected_at:%Y-%m-%d %H:%M}", first_line(one.title, 70))
        for one in found
    ]
    _show(found, as_json, ("INCIDENT", "SEVERITY", "STATUS", "DETECTED (UTC)", "TITLE"), rows, "no incidents that fit")


@incidents.command("show")
@_incident
@common.json_option
@click.pass_context
def show_incident(context: click.Context, incident: str, as_json: bool) -> None:
    """Show one incident with its timeline."""
    with client_of(context) as client:
        found = client.incident(incident)
    _say(found, as_json, "\n".join(_incident_lines(found)))


@incidents.command()
@_incident
@common.json_option
@click.pass_context
def ack(context: click.Context, incident: str, as_json: bool) -> None:
    """Take it: paging stops at once."""
    _act(context, incident, as_json, "acknowledge")


@incidents.command()
@_incident
@click.argument("text")
@common.json_option
@click.pass_context
def note(context: click.Context, incident: str, text: str, as_json: bool) -> None:
    """Write TEXT on the timeline."""
    _act(context, incident, as_json, "notes", text=text)


@incidents.command()
@_incident
@click.argument("level", type=click.IntRange(1, 4))
@click.option("--reason", required=True, help="Why; kept on the timeline.")
@common.json_option
@click.pass_context
def escalate(context: click.Context, incident: str, level: int, reason: str, as_json: bool) -> None:
    """Tell LEVEL, 1 to 4, now."""
    _act(context, incident, as_json, "escalate", level=level, reason=reason)


@incidents.command()
@_incident
@click.option("--resolution", required=True, help="What ended it.")
@click.option("--root-cause", default="", help="Why it happened, where that is known already.")
@common.json_option
@click.pass_context
def resolve(context: click.Context, incident: str, resolution: str, root_cause: str, as_json: bool) -> None:
    """It is over: everybody who was told is told so."""
    _act(context, incident, as_json, "resolve", resolution=resolution, root_cause=root_cause)


def _act(context: click.Context, incident: str, as_json: bool, act: str, **values: Any) -> None:
    with client_of(context) as client:
        found = client.act_on_incident(incident, act, **values)
    _say(found, as_json, f"{found.id}: {found.severity} {found.status}: {found.title}")


def _decide(context: click.Context, run: str, reason: str, *, approved: bool) -> None:
    with client_of(context) as client:
        found = client.run(run)
        questions = client.approvals(found.id)
        if not questions:
            click.echo(f"{found.id} asks nothing; it is {found.status}")
        for question in questions:
            client.decide(question["id"], "approved" if approved else "denied", reason)
            click.echo(f"{found.id}: {'approved' if approved else 'denied'}: {question['question']}")


def _incident_lines(found: Mapping[str, Any]) -> list[str]:
    incident = found["incident"]
    head = f"{incident['id']}: {incident['severity']} {incident['status']}: {incident['title']}"
    timeline = [f"{entry['at'][:19]}  {entry['kind']} by {entry['actor']}" for entry in found["timeline"]]
    return [head, incident["summary"], *found["sla"], "", *timeline]


def _say(found: Any, as_json: bool, text: str) -> None:
    if as_json:
        common.print_json(found)
    else:
        click.echo(text)


def _show(found: Any, as_json: bool, columns: Sequence[str], rows: Sequence[tuple[str, ...]], nothing: str) -> None:
    if as_json:
        common.print_json(found)
    elif rows:
        console().print(table(tuple(columns), rows))
    else:
        click.echo(nothing)

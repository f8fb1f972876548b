"""`orchestrator --server URL incidents`: the incidents of a server, and every command for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from pydantic import TypeAdapter

from orchestration.cli import common
from orchestration.cli.briefing_lines import labelled
from orchestration.cli.command_parameters import add_commands, add_opening_commands
from orchestration.cli.incident_options import (
    action_item_commands,
    action_item_options,
    incident_argument,
    review_parts_option,
    review_take_option,
    step_argument,
    undone_line,
)
from orchestration.cli.isolate import echo_isolation_record
from orchestration.cli.questions import AskingSubject, add_answer_commands, asking_there, question_lines, question_of
from orchestration.cli.render import first_line
from orchestration.cli.server import client_of, limit_option, print_record, print_records, program_of
from orchestration.client import IncidentRecord, RefusedError
from orchestration.incidents.brief import BriefingLine
from orchestration.incidents.commands.base import IncidentCommand, OpeningCommand
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.commands.table import COMMANDS, OPENING_COMMANDS
from orchestration.incidents.folded_timeline import FoldedEntry
from orchestration.incidents.model import ReviewField
from orchestration.incidents.review import entry_text


@click.group()
def incidents() -> None:
    """Incidents of the server."""


@incidents.command("list")
@click.option("--status", "statuses", multiple=True, help="Only of this status. Repeatable.")
@click.option("--severity", "severities", multiple=True, help="Only of this severity. Repeatable.")
@click.option("--open", "only_open", is_flag=True, help="Only those that are open.")
@limit_option
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
    columns = ("INCIDENT", "SEVERITY", "STATUS", "DETECTED (UTC)", "TITLE")
    print_records(found, as_json, columns, rows, "no matching incidents")


@incidents.command("show")
@incident_argument
@common.json_option
@click.pass_context
def show_incident(context: click.Context, incident: str, as_json: bool) -> None:
    """Show one incident with its timeline."""
    with client_of(context) as client:
        found = client.incident(incident)
        # Not in a token's scopes, perhaps; the incident can be shown all the same.
        with contextlib.suppress(RefusedError):
            if not as_json:
                echo_isolation_record(client.isolation()["isolation"])
        questions = [question_of(one) for one in client.approvals(found["incident"]["id"])]
    asked = question_lines(questions, program_of(context))
    print_record(found, as_json, "\n".join(_incident_lines(found, asked)))


@incidents.command()
@incident_argument
@review_parts_option
@review_take_option
@common.json_option
@click.pass_context
def review(
    context: click.Context, incident: str, parts: Sequence[WriteReview], taken: Sequence[str], as_json: bool
) -> None:
    """Show the review so far and what is missing, or write parts of it."""
    with client_of(context) as client:
        suggested = client.review_suggestions(incident) if taken else {}
        for part in (*parts, *(WriteReview(ReviewField(field), suggested[field]) for field in taken)):
            client.execute(incident, part)
        found = client.incident(incident)
        text = "" if parts or taken else client.review(incident)
    missing = found["missing"]
    record = {"incident": found["incident"]["id"], "review": found["incident"]["review"], "missing": missing}
    print_record(record, as_json, f"{text}missing: {', '.join(missing) or 'nothing'}")


@incidents.command()
@click.argument("incident", metavar="[INCIDENT]", required=False)
@action_item_options
@common.json_option
@click.pass_context
def actions(context: click.Context, /, incident: str | None, as_json: bool, **given: Any) -> None:
    """List action items: of one incident, or all that are open; add one, or mark one as done."""
    commands = action_item_commands(incident, **given)
    with client_of(context) as client:
        for command in commands:
            client.execute(str(incident), command)
        found = list(client.action_items()) if incident is None else _action_items(client.incident(incident))
    columns = ("INCIDENT", "NUMBER", "DUE", "OWNER", "STATE", "WHAT")
    print_records(found, as_json, columns, [_row(item) for item in found], "no action items")


@incidents.command()
@incident_argument
@step_argument
@common.json_option
@click.pass_context
def undo(context: click.Context, incident: str, step: str, as_json: bool) -> None:
    """Undo what a playbook has done for an incident, by the STEP that did it."""
    with client_of(context) as client:
        found = client.undo_action(incident, step)
    print_record(found, as_json, undone_line(found["incident"], found["action"], found["summary"]))


def _give(context: click.Context, incident: str, command: IncidentCommand, as_json: bool) -> None:
    with client_of(context) as client:
        found = client.execute(incident, command)
    print_record(found, as_json, _line(found))


def _declare(context: click.Context, command: OpeningCommand, as_json: bool) -> None:
    with client_of(context) as client:
        found = client.declare(command)
    print_record(found, as_json, _line(found))


@contextlib.contextmanager
def _asking(context: click.Context, text: str) -> Iterator[AskingSubject]:
    with client_of(context) as client:
        found = client.incident(text)["incident"]
        # By its full identifier: `latest` could name another incident by now.
        yield asking_there(client, found["id"], found["status"])


def _line(found: IncidentRecord) -> str:
    return f"{found.id}: {found.severity} {found.status}: {found.title}"


def _incident_lines(found: Mapping[str, Any], asked: Iterable[str]) -> list[str]:
    incident = found["incident"]
    head = f"{incident['id']}: {incident['severity']} {incident['status']}: {incident['title']}"
    entries = TypeAdapter(list[FoldedEntry]).validate_python(found["timeline"])
    timeline = [f"{entry.at:%Y-%m-%d %H:%M:%S} {entry_text(entry)}" for entry in entries]
    # A server of an earlier version says neither who has the incident nor what to know first.
    owner = [f"owner: {found['ownership']}"] if "ownership" in found else []
    brief = TypeAdapter(list[BriefingLine]).validate_python(found.get("briefing", ()))
    first = list(labelled(brief)) or [incident["summary"]]
    tickets = [f"{one['channel']}: {one['url']}" for one in found.get("tickets", ())]
    return [head, *first, *owner, *found["sla"], *tickets, *asked, "", "Timeline (UTC):", *timeline]


def _action_items(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    incident = found["incident"]
    return [{"incident": incident["id"], **item} for item in incident["actions"]]


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    state = "done" if item.get("done_at") else "open"
    return (item["incident"], str(item["number"]), item["due"], item["owner"], state, item["text"])


add_commands(incidents, COMMANDS, "INCIDENT", _give, remote=True)
add_opening_commands(incidents, OPENING_COMMANDS, _declare)
add_answer_commands(
    incidents,
    "INCIDENT",
    _asking,
    approve="Approve what a playbook asks to do.",
    deny="Deny what a playbook asks to do; it continues with its next option.",
)

"""`orchestrator incidents`: list and show incidents, and give every command for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from orchestration.app import ProjectRecords, application, project
from orchestration.app.incident_options import offered_options
from orchestration.app.tickets import tickets_of
from orchestration.cli import common
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
from orchestration.cli.incident_screens import incidents_table, screen
from orchestration.cli.isolate import echo_isolation
from orchestration.cli.output import echo
from orchestration.cli.questions import AskingSubject, add_answer_commands, asking_here
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ago
from orchestration.config.isolation import isolation_of
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.commands.base import IncidentCommand, OpeningCommand
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.commands.table import COMMANDS, OPENING_COMMANDS
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.folded_timeline import fold
from orchestration.incidents.model import Actor, Incident, ReviewField, person
from orchestration.storage.playbooks import PlaybookRecords

_SEVERITIES = click.Choice([severity.value for severity in Severity])


@click.group()
def incidents() -> None:
    """Incidents: INCIDENT is an identifier, a unique end of one, or `latest`."""


@incidents.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in IncidentStatus]),
    help="Only of this status. Repeatable.",
)
@click.option("--severity", "severities", multiple=True, type=_SEVERITIES, help="Only of this severity. Repeatable.")
@click.option("--scenario", type=click.Choice([scenario.value for scenario in Scenario]), help="Only of this scenario.")
@click.option("--open", "only_open", is_flag=True, help="Only those that are open.")
@click.option("--since", type=MOMENT, help="Only those detected since: 7d, 12h, or a time.")
@common.limit_option()
@common.json_option
@click.pass_obj
def list_incidents(
    config: str,
    statuses: tuple[str, ...],
    severities: tuple[str, ...],
    scenario: str | None,
    only_open: bool,
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the newest incidents."""
    with project(config) as here:
        now = here.clock.now()
        found = here.incident_service.records.table.list(
            statuses=statuses,
            severities=[Severity(each) for each in severities],
            scenario=None if scenario is None else Scenario(scenario),
            is_open=True if only_open else None,
            since=None if since in (None, "all") else ago(str(since), now),
            limit=limit,
        )
        if as_json:
            common.print_json(found)
        elif found:
            console().print(incidents_table(found, now))
        else:
            echo("no matching incidents")


@incidents.command()
@incident_argument
@common.json_option
@click.pass_obj
def show(config: str, incident: str, as_json: bool) -> None:
    """Show what broke, who is affected, what was tried and what to do next; then the timeline."""
    with _found(config, incident) as (here, found):
        records = here.incident_service.records
        entries, settings = records.entries(found.id), records.settings(found)
        if as_json:
            # The timers say what happens next if nobody acts, which the incident itself does not hold.
            waiting = [{"kind": row.kind, "due_at": row.due_at} for row in records.table.list_timers(found.id)]
            made = tickets_of(here, found.id)
            record = {**common.plain(found), "timers": waiting, "tickets": made, "timeline": fold(entries)}
            common.print_json(record)
            return
        echo_isolation(isolation_of(here.store))
        response = PlaybookRecords(here.database).newest_run(found.id)
        questions = asking_here(here, found.id, found.status).questions
        options = offered_options(here, found, response)
        now, tickets = here.clock.now(), tickets_of(here, found.id)
        echo(screen(found, entries, settings, now, response, questions, options, tickets))


@incidents.command()
@incident_argument
@review_parts_option
@review_take_option
@common.json_option
@click.pass_obj
def review(config: str, incident: str, parts: Sequence[WriteReview], taken: Sequence[str], as_json: bool) -> None:
    """Show the review so far and what is missing, or write parts of it."""
    with _found(config, incident) as (here, before):
        found = before
        suggested = here.reviews.suggestions(found) if taken else {}
        for part in (*parts, *(WriteReview(field, suggested[field]) for field in map(ReviewField, taken))):
            found = here.incident_service.execute(found.id, _me(), part)
        missing = [field.value for field in missing_fields(found)]
        if as_json:
            common.print_json({"incident": found.id, "review": found.review, "missing": missing})
            return
        if not parts and not taken:
            echo(_markdown(here, found))
        echo(f"missing: {', '.join(missing) or 'nothing'}")


@incidents.command()
@incident_argument
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file.  [default: standard output]")
@common.json_option
@click.pass_obj
def export(config: str, incident: str, output: Path | None, as_json: bool) -> None:
    """Write the review as Markdown, or the whole incident as JSON."""
    with _found(config, incident) as (here, found):
        entries = here.incident_service.records.entries(found.id)
        text = common.as_json({**common.plain(found), "timeline": entries}) if as_json else _markdown(here, found)
        if output is None:
            # The Markdown ends with a line break of its own, JSON does not.
            echo(text, nl=as_json)
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"expected a file that can be written, got '{output}': {error}") from error
        echo(f"{found.id}: written to {output}")


@incidents.command()
@click.argument("incident", metavar="[INCIDENT]", required=False)
@action_item_options
@common.json_option
@click.pass_obj
def actions(config: str, /, incident: str | None, as_json: bool, **given: Any) -> None:
    """List action items: of one incident, or all that are open; add one, or mark one as done."""
    commands = action_item_commands(incident, **given)
    if incident is None:
        _list_open_actions(config, as_json)
        return
    with _found(config, incident) as (here, before):
        found = before
        for command in commands:
            found = here.incident_service.execute(found.id, _me(), command)
        _print_actions([found], as_json)


def _list_open_actions(config: str, as_json: bool) -> None:
    with project(config) as here:
        _print_actions(here.incident_service.records.with_open_actions(), as_json)


def _print_actions(found: tuple[Incident, ...] | list[Incident], as_json: bool) -> None:
    if as_json:
        common.print_json([{"incident": each.id, **common.plain(item)} for each in found for item in each.actions])
        return
    rows = [
        (each.id, str(item.number), str(item.due), item.owner, "done" if item.done_at else "open", item.text)
        for each in found
        for item in each.actions
    ]
    if rows:
        console().print(table(("INCIDENT", "NUMBER", "DUE", "OWNER", "STATE", "WHAT"), rows))
    else:
        echo("no action items")


def _give(context: click.Context, incident: str, command: IncidentCommand, as_json: bool) -> None:
    with _found(context.obj, incident) as (here, found):
        _print(here.incident_service.execute(found.id, _me(), command), as_json)


@incidents.command()
@incident_argument
@step_argument
@common.json_option
@click.pass_obj
def undo(config: str, incident: str, step: str, as_json: bool) -> None:
    """Undo what a playbook has done for an incident, by the STEP that did it."""
    from orchestration.app.action_undo import UndoneAction, undo_action

    async def work() -> UndoneAction:
        async with application(config) as app:
            return await undo_action(app, incident, step, common.user_name())

    undone = common.run_async(work)
    if as_json:
        common.print_json(undone)
    else:
        echo(undone_line(undone.incident, undone.action, undone.summary))


def _declare(context: click.Context, command: OpeningCommand, as_json: bool) -> None:
    with project(context.obj) as here:
        _print(here.incident_service.declare(common.user_name(), command), as_json)


def _print(after: Incident, as_json: bool) -> None:
    if as_json:
        common.print_json(after)
    else:
        echo(f"{after.id}: {after.severity} {after.status}: {after.title}")


@contextmanager
def _found(config: str, text: str) -> Iterator[tuple[ProjectRecords, Incident]]:
    with project(config) as here:
        yield here, here.incident_service.records.find(text)


@contextmanager
def _asking(context: click.Context, text: str) -> Iterator[AskingSubject]:
    with _found(context.obj, text) as (here, found):
        yield asking_here(here, found.id, found.status)


def _me() -> Actor:
    return person(common.user_name())


def _markdown(here: ProjectRecords, found: Incident) -> str:
    return here.reviews.markdown(found)


add_commands(incidents, COMMANDS, "INCIDENT", _give)
add_opening_commands(incidents, OPENING_COMMANDS, _declare)
add_answer_commands(
    incidents,
    "INCIDENT",
    _asking,
    approve="Approve what a playbook asks to do.",
    deny="Deny what a playbook asks to do; it continues with its next option.",
)

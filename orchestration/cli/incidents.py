"""`orchestrator incidents`: what incidents there are, and what may be done about them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from orchestration.app import Project, project
from orchestration.cli import common
from orchestration.cli.incident_screens import incidents_table, screen
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ago, ahead, due_date
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.model import Actor, Incident, ReviewField, person
from orchestration.incidents.review import draft

_incident_argument = click.argument("incident", metavar="INCIDENT")
_reason_option = click.option("--reason", required=True, help="Why; kept on the timeline.")
_SEVERITIES = click.Choice([severity.value for severity in Severity])


@click.group()
def incidents() -> None:
    """Incidents: INCIDENT is an identifier, an end of one that fits no other, or `latest`."""


@incidents.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice([status.value for status in IncidentStatus]))
@click.option("--severity", "severities", multiple=True, type=_SEVERITIES)
@click.option("--scenario", type=click.Choice([scenario.value for scenario in Scenario]))
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@click.option("--since", type=MOMENT, help="Only those detected since: 7d, 12h, or a time.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
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
            click.echo("no incidents that fit")


@incidents.command()
@_incident_argument
@common.json_option
@click.pass_obj
def show(config: str, incident: str, as_json: bool) -> None:
    """Show what broke, whom it hurts, what was tried, and what to do now; then the timeline."""
    with _found(config, incident) as (here, found):
        records = here.incident_service.records
        entries, settings = records.entries(found.id), records.settings(found)
        if as_json:
            waiting = [{"kind": row.kind, "due_at": row.due_at} for row in records.table.list_timers(found.id)]
            common.print_json({**common.plain(found), "timers": waiting, "timeline": entries})
            return
        click.echo(screen(found, entries, settings, here.clock.now()))


@incidents.command()
@_incident_argument
@common.json_option
@click.pass_obj
def ack(config: str, incident: str, as_json: bool) -> None:
    """Take it: paging stops at once."""
    _do(config, incident, as_json, lambda here, found, me: here.incident_service.acknowledge(found.id, me))


@incidents.command()
@_incident_argument
@click.argument("text")
@common.json_option
@click.pass_obj
def note(config: str, incident: str, text: str, as_json: bool) -> None:
    """Write TEXT on the timeline."""
    _do(config, incident, as_json, lambda here, found, me: here.incident_service.note(found.id, me, text))


@incidents.command()
@_incident_argument
@click.argument("contact")
@common.json_option
@click.pass_obj
def assign(config: str, incident: str, contact: str, as_json: bool) -> None:
    """Put it into the hands of CONTACT."""
    _do(config, incident, as_json, lambda here, found, me: here.incident_service.assign(found.id, me, contact))


@incidents.command()
@_incident_argument
@click.argument("text")
@click.option("--since", type=MOMENT, help="When the impact began: 20min ago, or a time.")
@common.json_option
@click.pass_obj
def impact(config: str, incident: str, text: str, since: str | None, as_json: bool) -> None:
    """Say whom it hurts and how."""
    _do(
        config,
        incident,
        as_json,
        lambda here, found, me: here.incident_service.set_impact(found.id, me, text, _when(since, here, ago)),
    )


@incidents.command()
@_incident_argument
@click.argument("when", type=MOMENT)
@common.json_option
@click.pass_obj
def eta(config: str, incident: str, when: str, as_json: bool) -> None:
    """Say WHEN it will be resolved: 2h from now, or a time."""
    _do(
        config,
        incident,
        as_json,
        lambda here, found, me: here.incident_service.set_eta(found.id, me, _when(when, here, ahead)),
    )


@incidents.command()
@_incident_argument
@click.option("--level", type=click.IntRange(1, 4), default=2, show_default=True)
@_reason_option
@common.json_option
@click.pass_obj
def escalate(config: str, incident: str, level: int, reason: str, as_json: bool) -> None:
    """Tell a level now: 2 technical lead, 3 project manager, 4 security team."""
    _do(config, incident, as_json, lambda here, found, me: here.incident_service.escalate(found.id, me, level, reason))


@incidents.command()
@_incident_argument
@click.argument("level", type=_SEVERITIES)
@_reason_option
@common.json_option
@click.pass_obj
def severity(config: str, incident: str, level: str, reason: str, as_json: bool) -> None:
    """Change how bad it is, for better or worse."""

    def change(here: Project, found: Incident, me: Actor) -> Incident:
        wanted = Severity(level)
        worse = wanted.worse_than(found.severity)
        act = here.incident_service.raise_severity if worse else here.incident_service.lower_severity
        return act(found.id, me, wanted, reason)

    _do(config, incident, as_json, change)


@incidents.command()
@_incident_argument
@click.option("--resolution", required=True, help="What ended it.")
@click.option("--root-cause", default="", help="Why it happened, where that is known already.")
@common.json_option
@click.pass_obj
def resolve(config: str, incident: str, resolution: str, root_cause: str, as_json: bool) -> None:
    """It is over: everybody who was told is told so."""
    _do(
        config,
        incident,
        as_json,
        lambda here, found, me: here.incident_service.resolve(found.id, me, resolution, root_cause),
    )


@incidents.command()
@_incident_argument
@_reason_option
@common.json_option
@click.pass_obj
def reopen(config: str, incident: str, reason: str, as_json: bool) -> None:
    """It is back."""
    _do(config, incident, as_json, lambda here, found, me: here.incident_service.reopen(found.id, me, reason))


@incidents.command()
@_incident_argument
@_reason_option
@common.json_option
@click.pass_obj
def cancel(config: str, incident: str, reason: str, as_json: bool) -> None:
    """It was a false alarm; the same one keeps quiet for a day."""
    _do(config, incident, as_json, lambda here, found, me: here.incident_service.cancel(found.id, me, reason))


@incidents.command()
@_incident_argument
@click.argument("into")
@common.json_option
@click.pass_obj
def merge(config: str, incident: str, into: str, as_json: bool) -> None:
    """It is the same trouble as INTO, which goes on for both."""
    _do(
        config,
        incident,
        as_json,
        lambda here, found, me: here.incident_service.merge(found.id, me, here.incident_service.records.find(into).id),
    )


@incidents.command()
@_incident_argument
@common.json_option
@click.pass_obj
def close(config: str, incident: str, as_json: bool) -> None:
    """The review is complete."""
    _do(config, incident, as_json, lambda here, found, me: here.incident_service.close(found.id, me))


@incidents.command()
@_incident_argument
@click.option(
    "--set", "parts", multiple=True, metavar="FIELD=TEXT", help="Write a part of the review; may be repeated."
)
@common.json_option
@click.pass_obj
def review(config: str, incident: str, parts: tuple[str, ...], as_json: bool) -> None:
    """Show the review as it stands, and what is missing; or write parts of it."""
    wanted = [_review_part(part) for part in parts]
    with _found(config, incident) as (here, before):
        found = before
        for field, text in wanted:
            found = here.incident_service.complete_review_field(found.id, _me(), field, text)
        missing = [field.value for field in missing_fields(found)]
        if as_json:
            common.print_json({"incident": found.id, "review": found.review, "missing": missing})
            return
        if not wanted:
            click.echo(_markdown(here, found))
        click.echo(f"missing: {', '.join(missing) or 'nothing'}")


@incidents.command()
@_incident_argument
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file.  [default: standard output]")
@common.json_option
@click.pass_obj
def export(config: str, incident: str, output: Path | None, as_json: bool) -> None:
    """Write the review as Markdown, or all that is known as JSON."""
    with _found(config, incident) as (here, found):
        entries = here.incident_service.records.entries(found.id)
        text = common.as_json({**common.plain(found), "timeline": entries}) if as_json else _markdown(here, found)
        if output is None:
            click.echo(text, nl=as_json)
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"expected a file that can be written, got '{output}': {error}") from error
        click.echo(f"{found.id}: written to {output}")


@incidents.command()
@click.argument("incident", metavar="[INCIDENT]", required=False)
@click.option("--add", "text", help="Add an action item; needs --owner and --due.")
@click.option("--owner", help="Who does it.")
@click.option("--due", type=MOMENT, help="By when: 14d, or a date.")
@click.option("--done", type=click.IntRange(min=1), help="The number of the one that is done.")
@common.json_option
@click.pass_obj
def actions(
    config: str,
    incident: str | None,
    text: str | None,
    owner: str | None,
    due: str | None,
    done: int | None,
    as_json: bool,
) -> None:
    """List action items: of one incident, or all that are still to be done; add one, or tick one off."""
    if incident is None:
        if text is not None or done is not None:
            raise UsageError(
                "expected an incident to add an action item to or to tick one off, got none; name it first"
            )
        _list_open_actions(config, as_json)
        return
    if text is not None and (owner is None or due is None):
        raise UsageError("expected --owner and --due with --add, got less; an action item has both")
    with _found(config, incident) as (here, before):
        found = before
        if text is not None and owner is not None and due is not None:
            day = due_date(due, here.clock.now())
            found = here.incident_service.add_action(found.id, _me(), text, owner, day)
        if done is not None:
            found = here.incident_service.finish_action(found.id, _me(), done)
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
        click.echo("no action items")


@incidents.command()
@_incident_argument
@click.option("--question", help="Which one, by a part of its text.  [default: the only one that is open]")
@click.option("--reason", default="", help="Why; kept with the answer.")
@common.json_option
@click.pass_obj
def approve(config: str, incident: str, question: str | None, reason: str, as_json: bool) -> None:
    """Say yes to what the response asks."""
    _answer(config, incident, question, "approved", reason, as_json)


@incidents.command()
@_incident_argument
@click.option("--question", help="Which one, by a part of its text.  [default: the only one that is open]")
@click.option("--reason", default="", help="Why; kept with the answer.")
@common.json_option
@click.pass_obj
def deny(config: str, incident: str, question: str | None, reason: str, as_json: bool) -> None:
    """Say no to what the response asks; it goes on with the next way that it knows."""
    _answer(config, incident, question, "denied", reason, as_json)


def _answer(config: str, text: str, question: str | None, decision: str, reason: str, as_json: bool) -> None:
    with _found(config, text) as (here, found):
        waiting = [one for one in here.approvals.list_open(found.id) if question is None or question in one.question]
        if len(waiting) != 1:
            listed = "; ".join(one.question for one in waiting) or "none"
            raise UsageError(f"expected one open question of {found.id}, got {listed}; choose with --question")
        here.answer(waiting[0], approved=decision == "approved", by=getpass.getuser(), reason=reason)
        if as_json:
            common.print_json(here.approvals.get(waiting[0].id))
        else:
            click.echo(f"{found.id}: {decision}: {waiting[0].question}")


def _do(config: str, text: str, as_json: bool, action: Callable[[Project, Incident, Actor], Incident]) -> None:
    with _found(config, text) as (here, found):
        after = action(here, found, _me())
        if as_json:
            common.print_json(after)
        else:
            click.echo(f"{after.id}: {after.severity} {after.status}: {after.title}")


@contextmanager
def _found(config: str, text: str) -> Iterator[tuple[Project, Incident]]:
    with project(config) as here:
        yield here, here.incident_service.records.find(text)


def _me() -> Actor:
    return person(getpass.getuser())


def _when(text: str | None, here: Project, read: Callable[[str, datetime], datetime]) -> datetime | None:
    return None if text is None else read(text, here.clock.now())


def _review_part(part: str) -> tuple[ReviewField, str]:
    name, equals, text = part.partition("=")
    names = [field.value for field in ReviewField]
    if not equals or name not in names or not text.strip():
        raise UsageError(f"expected FIELD=TEXT with one of {', '.join(names)}, got '{part}'; a text may be \"none\"")
    return ReviewField(name), text.strip()


def _markdown(here: Project, found: Incident) -> str:
    records = here.incident_service.records
    return draft(found, records.entries(found.id), records.settings(found), here.clock.now())

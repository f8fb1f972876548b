"""`orchestrator oncall`: who is on call, and who is notified of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
import click

from orchestration.app import project
from orchestration.app.escalation_paths import (
    PathView,
    escalation_paths,
    outside_subject,
    recorded_subject,
    try_routes,
)
from orchestration.app.grafana_oncall import convert, read_export
from orchestration.app.grafana_oncall.project_files import import_lines, read_text_file, write_import
from orchestration.app.oncall_calendars import CalendarState, OnCallCalendarReader, states
from orchestration.app.oncall_feed import feed_url
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ahead
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.oncall import OnCallShift, audience, duties
from orchestration.storage.oncall import OnCallOverrideRow

_reason = click.option("--reason", required=True, help="Why. Others will read it.")
_author = click.option("--author", help="Who enters it.  [default: the current user]")


@click.group()
def oncall() -> None:
    """Who is on call."""


@oncall.command()
@click.option(
    "--at", "at", type=MOMENT, help="At another time: 12h for 12 hours from now, or a date and time.  [default: now]"
)
@common.json_option
@click.pass_obj
def show(config: str, at: str | None, as_json: bool) -> None:
    """Show who is on call, who is notified first by severity, and who is paged next."""
    with project(config) as opened:
        now = opened.clock.now()
        moment = now if at is None else ahead(at, now)
        settings = opened.response
        shifts = duties(settings, moment)
        notified = {severity.value: [each.id for each in audience(severity, settings, moment)] for severity in Severity}
        paths = list(escalation_paths(settings, moment))
        read = list(states(settings, opened.on_call.calendars, now))
        if as_json:
            shown = {"at": moment, "on_call": shifts, "told_first": notified, "calendars": read}
            common.print_json({**shown, "levels": paths[0].levels, "paths": paths})
            return
        _echo_calendars(read)
        echo(f"at {moment:%Y-%m-%d %H:%M} UTC")
        if not settings.contacts:
            echo("nobody: the configuration has no contacts, so incidents only go to the log and the console")
            return
        _print_shifts(shifts)
        first = [(name, ", ".join(ids) or "nobody") for name, ids in notified.items()]
        console().print(table(("SEVERITY", "NOTIFIED FIRST"), first))
        for path in paths:
            if len(paths) > 1:
                echo(f"escalation path {path.name}")
            _print_levels(path)


def _echo_calendars(read: Sequence[CalendarState]) -> None:
    """What is wrong with the calendars, before anything that may rest on them."""
    for one in read:
        if one.problem or one.stale:
            since = "never" if one.read_at is None else f"last at {one.read_at:%Y-%m-%d %H:%M} UTC"
            echo(f"calendar of {one.rotation}: {one.problem or 'it is stale'}; read {since}")


def _print_shifts(shifts: Sequence[OnCallShift]) -> None:
    rows = [
        (duty.rotation, str(duty.level), duty.contact, f"{duty.until:%Y-%m-%d %H:%M}", "yes" if duty.override else "")
        for duty in shifts
    ]
    if rows:
        console().print(table(("ROTATION", "LEVEL", "ON CALL", "UNTIL (UTC)", "OVERRIDE"), rows))


def _print_levels(path: PathView) -> None:
    steps = [(str(one.level), ", ".join(one.contacts) or "nobody", f"{one.after / 60:g} min") for one in path.levels]
    console().print(table(("LEVEL", "PAGED", "NEXT AFTER"), steps))


def _read_labels(_: click.Context, __: click.Parameter, words: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    wrong = next((word for word, (name, equals, _) in zip(words, pairs, strict=True) if not equals or not name), None)
    if wrong is not None:
        raise UsageError(f"expected LABEL=VALUE such as team=database, got '{wrong[:80]}'")
    return {name: value for name, _, value in pairs}


@oncall.command()
@click.argument("labels", nargs=-1, metavar="[LABEL=VALUE]...", callback=_read_labels)
@click.option("--alert", metavar="ALERT", help="Try a recorded alert instead: its id, or a unique end of it.")
@click.option(
    "--severity", type=click.Choice([one.value for one in Severity]), help="Its severity.  [default: as the labels say]"
)
@click.option(
    "--scenario",
    type=click.Choice([one.value for one in Scenario]),
    help="Its scenario.  [default: as for an alert from outside]",
)
@common.json_option
@click.pass_obj
def route(
    config: str,
    labels: dict[str, str],
    alert: str | None,
    severity: str | None,
    scenario: str | None,
    as_json: bool,
) -> None:
    """Show which escalation path an alert with these labels would take, and whom it would page."""
    if alert is not None and (labels or severity or scenario):
        raise UsageError("Give either --alert or labels, severity and scenario.")
    with project(config) as opened:
        now, intake = opened.clock.now(), opened.configuration.alerting.intake
        subject = (
            outside_subject(
                labels, intake, Severity(severity) if severity else None, Scenario(scenario) if scenario else None
            )
            if alert is None
            else recorded_subject(opened.alerts.find(alert), now)
        )
        found = try_routes(opened.response, subject, now)
        if as_json:
            common.print_json(found)
            return
        by = "no route matches" if found.route is None else f"by response.escalationRoutes[{found.route}]"
        echo(f"a {subject.severity} takes the escalation path {found.path.name}: {by}")
        echo(f"notified first: {', '.join(found.path.notified_first[subject.severity]) or 'nobody'}")
        _print_levels(found.path)


@oncall.command()
@click.argument("rotation")
@click.argument("contact")
@click.option(
    "--start", type=MOMENT, help="From when on: 12h for 12 hours from now, or a date and time.  [default: now]"
)
@click.option("--end", required=True, type=MOMENT, help="Until when: 3d for 3 days from now, or a date and time.")
@_reason
@_author
@common.json_option
@click.pass_obj
def override(
    config: str,
    rotation: str,
    contact: str,
    start: str | None,
    end: str,
    reason: str,
    author: str | None,
    as_json: bool,
) -> None:
    """Put CONTACT on call in ROTATION for a time."""
    with project(config) as opened:
        now, by = opened.clock.now(), author or common.user_name()
        begins = now if start is None else ahead(start, now)
        row = opened.on_call.override(opened.response, rotation, contact, begins, ahead(end, now), reason, by)
        _print_changed([row], as_json)


@oncall.command()
@click.argument("rotation")
@click.argument("one", metavar="CONTACT")
@click.argument("other", metavar="OTHER")
@click.option("--after", type=MOMENT, help="Shifts that begin then or later.  [default: now]")
@_reason
@_author
@common.json_option
@click.pass_obj
def swap(
    config: str,
    rotation: str,
    one: str,
    other: str,
    after: str | None,
    reason: str,
    author: str | None,
    as_json: bool,
) -> None:
    """Exchange the next shifts of CONTACT and OTHER in ROTATION."""
    with project(config) as opened:
        now, by = opened.clock.now(), author or common.user_name()
        moment = now if after is None else ahead(after, now)
        _print_changed(opened.on_call.swap(opened.response, rotation, one, other, moment, reason, by), as_json)


@oncall.command()
@click.option("--all", "include_ended", is_flag=True, help="Include those that are over: the history.")
@common.json_option
@click.pass_obj
def overrides(config: str, include_ended: bool, as_json: bool) -> None:
    """List the overrides that people have entered."""
    with project(config) as opened:
        now = opened.clock.now()
        found = opened.on_call.overrides.list(None if include_ended else now)
        if as_json:
            common.print_json(found)
        elif not found:
            echo("there are no overrides")
        else:
            rows = [
                (one.id, one.rotation, one.contact, *_times(one), _state(one, now), f"{one.author}: {one.reason}")
                for one in found
            ]
            columns = ("OVERRIDE", "ROTATION", "ON CALL", "FROM (UTC)", "UNTIL (UTC)", "STATE", "WHY")
            console().print(table(columns, rows))


@oncall.command()
@click.argument("override", metavar="OVERRIDE")
@common.json_option
@click.pass_obj
def cancel(config: str, override: str, as_json: bool) -> None:
    """End an override, also one that has not begun; of a swap, both halves."""
    with project(config) as opened:
        _print_changed(opened.on_call.cancel(override, common.user_name()), as_json)


@oncall.command()
@common.json_option
@click.pass_obj
def refresh(config: str, as_json: bool) -> int:
    """Read the calendars of rotations now, and show the state of each. Fails if one cannot be read."""
    with project(config) as opened:
        settings, clock = opened.response, opened.clock
        reader = OnCallCalendarReader(
            opened.on_call.calendars,
            lambda: settings,
            opened.store.credentials,
            clock,
            opened.redactor.text,
            opened.root,
        )
        anyio.run(partial(reader.read_due, all_of_them=True))
        found = list(states(settings, opened.on_call.calendars, clock.now()))
        if as_json:
            common.print_json(found)
        for one in () if as_json else found:
            echo(f"{one.rotation}: {one.problem or 'read'}")
        if not found and not as_json:
            echo("no rotation has a calendar")
        return 1 if any(one.problem for one in found) else 0


@oncall.command()
@click.argument("rotation")
@common.json_option
@click.pass_obj
def feed(config: str, rotation: str, as_json: bool) -> None:
    """Print the address at which calendar programs can read who is on call. Whoever knows it can read it."""
    with project(config) as opened:
        url = feed_url(opened, rotation)
        common.print_json({"rotation": rotation, "url": url}) if as_json else echo(url)


@oncall.command("import")
@click.argument("export", type=click.Path())
@click.option("--chain", help="The escalation chain to take.  [default: the one that most integrations use]")
@click.option("--write", "write_it", is_flag=True, help="Write it into the configuration, in place of what is there.")
@common.json_option
@click.pass_obj
def import_oncall(config: str, export: str, chain: str | None, write_it: bool, as_json: bool) -> None:
    """Convert an export of Grafana OnCall: contacts, rotations and escalation."""
    imported = convert(read_export(read_text_file(export)), chain)
    if write_it:
        write_import(Path(config), imported)
    if as_json:
        files = {name: body.decode() for name, body in imported.files.items()}
        common.print_json({**asdict(imported), "files": files})
        return
    if not write_it:
        common.print_json({"response": imported.response})
    for line in import_lines(imported, written=write_it):
        # Where the configuration is printed, it has standard output to itself.
        echo(line, err=not write_it)


def _print_changed(rows: Sequence[OnCallOverrideRow], as_json: bool) -> None:
    if as_json:
        common.print_json(rows)
        return
    for row in rows:
        start, end = _times(row)
        said = "is cancelled" if row.cancelled_at else "is on call"
        echo(f"{row.id}: {row.contact} {said} in {row.rotation}, from {start} until {end} UTC")


def _times(row: OnCallOverrideRow) -> tuple[str, str]:
    return f"{row.starts_at:%Y-%m-%d %H:%M}", f"{row.ends_at:%Y-%m-%d %H:%M}"


def _state(row: OnCallOverrideRow, now: datetime) -> str:
    if row.cancelled_at is not None:
        return f"cancelled by {row.cancelled_by}"
    if row.ends_at <= now:
        return "over"
    return "in force" if row.starts_at <= now else "to come"

"""`orchestrator oncall`: who is on call, and who is notified of what."""

from __future__ import annotations

import click

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ahead
from orchestration.domain.severity import Severity
from orchestration.incidents.oncall import audience, contacts, duties, level_names


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
        settings = opened.configuration.response
        shifts = duties(settings, moment)
        notified = {severity.value: [each.id for each in audience(severity, settings, moment)] for severity in Severity}
        levels = [
            (level, [each.id for each in contacts(level_names(level), settings, moment)])
            for level in settings.escalation.levels
        ]
        if as_json:
            paged = [{"level": level.level, "contacts": ids, "after": level.after} for level, ids in levels]
            common.print_json({"at": moment, "on_call": shifts, "told_first": notified, "levels": paged})
            return
        echo(f"at {moment:%Y-%m-%d %H:%M} UTC")
        if not settings.contacts:
            echo("nobody: the configuration has no contacts, so incidents only go to the log and the console")
            return
        rows = [
            (
                duty.rotation,
                str(duty.level),
                duty.contact,
                f"{duty.until:%Y-%m-%d %H:%M}",
                "yes" if duty.override else "",
            )
            for duty in shifts
        ]
        if rows:
            console().print(table(("ROTATION", "LEVEL", "ON CALL", "UNTIL (UTC)", "OVERRIDE"), rows))
        console().print(
            table(
                ("SEVERITY", "NOTIFIED FIRST"), [(name, ", ".join(ids) or "nobody") for name, ids in notified.items()]
            )
        )
        steps = [(str(level.level), ", ".join(ids) or "nobody", f"{level.after / 60:g} min") for level, ids in levels]
        console().print(table(("LEVEL", "PAGED", "NEXT AFTER"), steps))

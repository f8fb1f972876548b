"""`orchestrator alerts`: what fires, what did, and why it was told or not."""

from __future__ import annotations

import click
from rich.text import Text

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.render import age, console, first_line, table
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.storage.alerts import AlertRow

_COLOURS = {AlertStatus.FIRING: "red", AlertStatus.PENDING: "yellow", AlertStatus.RESOLVED: "green"}
_OPEN = (AlertStatus.PENDING, AlertStatus.FIRING)


@click.group()
def alerts() -> None:
    """Alerts: ALERT is an identifier, or an end of one that fits no other."""


@alerts.command("list")
@click.option("--all", "every", is_flag=True, help="Those that are over, too.")
@click.option("--scenario", type=click.Choice([one.value for one in Scenario]))
@click.option("--name", help="Only alerts of this name.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@common.json_option
@click.pass_obj
def list_alerts(config: str, every: bool, scenario: str | None, name: str | None, limit: int, as_json: bool) -> None:
    """List what pends and fires, the newest first."""
    with project(config) as here:
        found = here.alerts.list(() if every else _OPEN, scenario=scenario, name=name, limit=limit)
        if as_json:
            common.print_json(found)
        elif not found:
            click.echo("no alert yet" if every else "nothing fires; what is over: orchestrator alerts list --all")
        else:
            now = here.clock.now()
            rows = [
                (
                    one.id,
                    Text(one.status.value, style=_COLOURS[one.status]),
                    age(now, one.since),
                    one.verdict + (f" by {one.muted_by}" if one.muted_by else ""),
                    first_line(title_of(one), 70),
                )
                for one in found
            ]
            console().print(table(("ALERT", "STATUS", "AGE", "DECISION", "TITLE"), rows))


@alerts.command()
@click.argument("alert", metavar="ALERT")
@common.json_option
@click.pass_obj
def show(config: str, alert: str, as_json: bool) -> None:
    """Show one alert with everything that is known of it."""
    with project(config) as here:
        found = here.alerts.find(alert)
        if as_json:
            common.print_json(found)
            return
        click.echo("\n".join(f"{name:<12}{text}" for name, text in _lines(found) if text))


def title_of(alert: AlertRow) -> str:
    """What a list says of an alert."""
    drill = "DRILL: " if alert.drill else ""
    return drill + str(alert.state.get("title") or alert.name)


def _lines(alert: AlertRow) -> list[tuple[str, str]]:
    state = alert.state
    return [
        ("alert", alert.id),
        ("title", title_of(alert)),
        ("summary", str(state.get("summary", ""))),
        ("status", alert.status.value + (", flapping" if state.get("flapping") else "")),
        ("decision", alert.verdict + (f" by {alert.muted_by}" if alert.muted_by else "")),
        ("group", alert.group_key),
        ("source", f"{alert.source}, {alert.name}"),
        ("labels", _pairs(alert.labels)),
        ("details", _pairs(state.get("details", {}))),
        ("facts", _pairs(state.get("facts", {}))),
        ("value", f"{alert.value:g}"),
        ("since", f"{alert.since:%Y-%m-%d %H:%M:%S} UTC"),
        ("fired", f"{alert.starts_at:%Y-%m-%d %H:%M:%S} UTC" if alert.starts_at else ""),
        ("ended", f"{alert.ends_at:%Y-%m-%d %H:%M:%S} UTC" if alert.ends_at else ""),
    ]


def _pairs(values: object) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items() if value) if isinstance(values, dict) else ""

"""`orchestrator alerts`: which alerts fire or have fired, and why each was reported or not."""

from __future__ import annotations

import click
from rich.text import Text

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import age, console, first_line, table
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.storage.alerts import AlertRow

_COLOURS = {AlertStatus.FIRING: "red", AlertStatus.PENDING: "yellow", AlertStatus.RESOLVED: "green"}
# A resolved alert needs no attention; `--all` adds it.
_OPEN = (AlertStatus.PENDING, AlertStatus.FIRING)


@click.group()
def alerts() -> None:
    """Alerts: ALERT is an id, or a unique end of one."""


@alerts.command("list")
@click.option("--all", "include_resolved", is_flag=True, help="Include resolved alerts.")
@click.option("--scenario", type=click.Choice([one.value for one in Scenario]), help="Only of this scenario.")
@click.option("--name", help="Only alerts of this name.")
@click.option("--group", help="Only alerts that are reported in this group, such as that of a storm.")
@common.limit_option(50)
@common.json_option
@click.pass_obj
def list_alerts(
    config: str,
    include_resolved: bool,
    scenario: str | None,
    name: str | None,
    group: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List pending and firing alerts, the newest first."""
    with project(config) as opened:
        statuses = () if include_resolved else _OPEN
        found = opened.alerts.list(statuses, scenario=scenario, group_key=group, name=name, limit=limit)
        if as_json:
            common.print_json(found)
        elif not found:
            echo(
                "there are no alerts yet"
                if include_resolved
                else "no alert is firing; to see resolved alerts: orchestrator alerts list --all"
            )
        else:
            now = opened.clock.now()
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
    """Show everything about one alert."""
    with project(config) as opened:
        found = opened.alerts.find(alert)
        if as_json:
            common.print_json(found)
            return
        echo("\n".join(f"{name:<12}{text}" for name, text in _lines(found) if text))


def title_of(alert: AlertRow) -> str:
    """The title of an alert in lists."""
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

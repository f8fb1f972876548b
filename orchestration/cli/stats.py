"""`orchestrator stats`: statistics of incidents."""

from __future__ import annotations

from datetime import timedelta

import click

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ago
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.review import span
from orchestration.incidents.statistics import IncidentGroup
from orchestration.storage.incidents.aggregates import GROUPS, IncidentSelection


@click.command()
@click.option("--since", type=MOMENT, default="30d", show_default=True, help="Start: 30d, 12h, a date, or `all`.")
@click.option("--until", type=MOMENT, help="End.  [default: now]")
@click.option("--by", type=click.Choice(GROUPS), default="severity", show_default=True, help="Group by.")
@click.option(
    "--severity",
    "severities",
    multiple=True,
    type=click.Choice([each.value for each in Severity]),
    help="Only of this severity. Repeatable.",
)
@click.option("--scenario", type=click.Choice([each.value for each in Scenario]), help="Only of this scenario.")
@common.json_option
@click.pass_obj
def stats(
    config: str,
    since: str,
    until: str | None,
    by: str,
    severities: tuple[str, ...],
    scenario: str | None,
    as_json: bool,
) -> None:
    """Show times to detect, acknowledge and resolve, SLA compliance and recurrence. Drills never count."""
    with project(config) as here:
        now = here.clock.now()
        selection = IncidentSelection(
            since=None if since == "all" else ago(since, now),
            until=None if until is None else ago(until, now),
            severities=tuple(Severity(each) for each in severities),
            scenario=None if scenario is None else Scenario(scenario),
        )
        report = here.statistics.report(selection, by, now)
        if as_json:
            common.print_json(report)
            return
        began = "the beginning" if selection.since is None else f"{selection.since:%Y-%m-%d %H:%M} UTC"
        echo(f"incidents since {began}: {report.total.count}, drills left out")
        if report.note:
            echo(report.note)
        for each in (report.total, *report.groups):
            _print(each)


def _print(group: IncidentGroup) -> None:
    echo(f"\n{group.name or 'all'}: {group.count}")
    rows = [
        (
            figure.title,
            str(figure.n),
            _seconds(figure.median),
            _seconds(figure.p90),
            _seconds(figure.mean),
            f"{figure.coverage:.0%}" + (f", {figure.invalid} invalid" if figure.invalid else ""),
            figure.variant,
        )
        for figure in group.figures
    ]
    console().print(table(("MEASURE", "N", "MEDIAN", "P90", "MEAN", "COVERS", "VARIANT"), rows))
    for target in group.compliance:
        echo(f"SLA {target.target}: {_share(target.rate)} ({target.sentence})")
    if group.recurrence.resolved:
        echo(f"ended: {group.endings.sentence}")
    again = group.recurrence
    echo(f"recurrence: {_share(again.rate)} ({again.recurred} of {again.resolved} resolved)")


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} s" if value < 60 else span(timedelta(seconds=value))


def _share(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:.1%}"

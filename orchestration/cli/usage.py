"""`orchestrator usage`: what was used, by whom, and how the budgets stand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import click

from orchestration.app import project
from orchestration.app.usage import BudgetState, UsageReport, UsageReports, as_csv, selection_of
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.cli.timespec import MOMENT, ago
from orchestration.domain.usage import UsageGrouping
from orchestration.storage.usage_days import UsageRow

_GROUPINGS = ("key", "agent", "model")


@click.command()
@click.option("--since", type=MOMENT, default="30d", show_default=True, help="First day: 30d, or a date (UTC).")
@click.option("--until", type=MOMENT, help="Last day.  [default: today]")
@click.option(
    "--by",
    "groupings",
    multiple=True,
    type=click.Choice([each.value for each in UsageGrouping]),
    help="Group by. Repeatable.  [default: key, agent and model]",
)
@click.option("--key", help="Only of this token, by its id, or user.")
@click.option("--team", help="Only of this team.")
@click.option("--agent", help="Only of this agent.")
@click.option("--model", help="Only of this model: MODEL, or PROVIDER/MODEL.")
@click.option("--csv", "as_text", is_flag=True, help="Print comma-separated values.")
@click.option("--budgets", is_flag=True, help="Show the budgets and what is left of them instead.")
@common.json_option
@click.pass_obj
def usage(
    config: str,
    /,
    since: str,
    until: str | None,
    groupings: tuple[str, ...],
    as_text: bool,
    budgets: bool,
    as_json: bool,
    **only: str | None,
) -> None:
    """Show requests, tokens and money by key, team, agent, provider, model or day."""
    with project(config) as here:
        reports, now = UsageReports(here), here.clock.now()
        if budgets:
            _show_budgets(reports.budgets(), as_json)
            return
        # `all` has no first day; ten years are as good.
        first = None if since == "all" else _day(since, now)
        selection = selection_of(now, first=first, last=None if until is None else _day(until, now), days=3650, **only)
        by = map(UsageGrouping, groupings or _GROUPINGS)
        report = reports.report(selection, *by)
    if as_json:
        common.print_json(report)
    elif as_text:
        echo(as_csv(report).rstrip())
    else:
        _show(report)


def _day(text: str, now: datetime) -> date:
    return ago(text, now).astimezone(UTC).date()


def _show(report: UsageReport) -> None:
    total = report.total
    echo(f"{report.selection.first} to {report.selection.last} (days of UTC)")
    echo(f"{total.requests:,} requests, {total.tokens:,} tokens, ${total.usd:,.2f}{_unpriced(total)}")
    headings = ("REQUESTS", "REFUSED", "FAILED", "PROMPT", "CACHED", "ANSWER", "THINKING", "SPENT")
    for grouping, rows in report.groups.items():
        shown = [(report.names.get(row.name, row.name.strip("/")) or "(none)", *_cells(row)) for row in rows]
        echo("")
        console().print(table((grouping.value.upper(), *headings), shown))


def _cells(row: UsageRow) -> tuple[str, ...]:
    counts = (
        *(row.requests, row.refused, row.failed),
        *(row.prompt_tokens, row.cached_tokens, row.completion_tokens, row.thinking_tokens),
    )
    return *(f"{count:,}" for count in counts), f"${row.usd:,.2f}{_unpriced(row)}"


def _unpriced(row: UsageRow) -> str:
    return f" ({row.unpriced:,} without a price)" if row.unpriced else ""


def _show_budgets(budgets: list[BudgetState], as_json: bool) -> None:
    if as_json:
        common.print_json(budgets)
    elif not budgets:
        echo("No budgets. Add some under `budgets` in the configuration.")
    else:
        rows = [
            (one.owner, one.period, one.state, _amounts(one.used_tokens, one.used_usd, one), *_limits(one),
             f"{one.ends_at:%Y-%m-%d %H:%M} UTC")
            for one in budgets
        ]  # fmt: skip
        console().print(table(("WHOSE", "PERIOD", "STATE", "USED", "SOFT", "HARD", "LEFT", "BEGINS ANEW"), rows))


def _limits(one: BudgetState) -> tuple[str, str, str]:
    return (
        _amounts(one.soft_tokens, one.soft_usd, one),
        _amounts(one.hard_tokens, one.hard_usd, one),
        _amounts(one.remaining_tokens, one.remaining_usd, one),
    )


def _amounts(tokens: int | None, usd: float | None, one: BudgetState) -> str:
    """Of tokens and dollars what the budget limits."""
    limited = (one.soft_tokens or one.hard_tokens, one.soft_usd or one.hard_usd)
    shown = [f"{tokens:,} tokens"] if tokens is not None and limited[0] else []
    shown += [f"${usd:,.2f}"] if usd is not None and limited[1] else []
    return ", ".join(shown) or "-"

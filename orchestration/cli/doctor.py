"""`orchestrator doctor`: check this machine and this project."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.text import Text

from orchestration.app.doctor import CheckResult, CheckStatus, examine
from orchestration.cli import common
from orchestration.cli.output import echo, visible
from orchestration.cli.render import console
from orchestration.clock import SystemClock

_STYLES = {CheckStatus.OK: "green", CheckStatus.WARNING: "yellow", CheckStatus.PROBLEM: "bold red"}


@click.command()
@common.json_option
@click.pass_obj
def doctor(config: str, as_json: bool) -> int:
    """Check this machine and this project, and say what to correct. Exit code 1 if there is a problem."""
    # Without opening the project, which may be what is broken.
    found = common.run_async(lambda: examine(Path(config), dict(os.environ), SystemClock()))
    problems = sum(one.health is CheckStatus.PROBLEM for one in found)
    if as_json:
        common.print_json({"problems": problems, "checks": found})
    else:
        for one in found:
            _print(one)
        warnings = sum(one.health is CheckStatus.WARNING for one in found)
        echo(f"\n{problems} problems, {warnings} warnings" if problems or warnings else "\nno problems")
    return 1 if problems else 0


def _print(one: CheckResult) -> None:
    output = console()
    line = Text(f"{one.health.value:<9}", style=_STYLES[one.health])
    # Without folding: rich would break a long path at the width of the terminal, and it could not be copied.
    output.print(line + Text(visible(f"{one.subject:<20}{one.found}"), style=""), soft_wrap=True)
    if one.advice:
        output.print(Text(visible(f"{'':<29}→ {one.advice}"), style="dim"), soft_wrap=True)

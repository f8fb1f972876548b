"""`orchestrator serve`, `status` and `doctor`."""

from __future__ import annotations

import click

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.render import console, runs_table
from orchestration.storage.runs import RunStatus


@click.command()
@common.json_option
@click.pass_obj
def status(config: str, as_json: bool) -> None:
    """What is going on, in one screen."""
    with project(config) as here:
        open_runs = here.runs.list([status for status in RunStatus if not status.ended])
        questions = here.approvals.open()
        if as_json:
            common.print_json({"runs": open_runs, "questions": questions})
            return
        click.echo(f"{len(open_runs)} unfinished runs, {len(questions)} questions wait for an answer")
        if open_runs:
            console().print(runs_table(open_runs, here.clock.now()))

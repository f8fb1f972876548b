"""`orchestrator run` and `demo`: start a run and follow it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestration.app import Application, application, project
from orchestration.cli import common
from orchestration.cli.demonstration import show_demonstration
from orchestration.cli.follow import conclude, follow
from orchestration.cli.output import echo
from orchestration.domain.run_spec import RunSpec
from orchestration.errors import UsageError
from orchestration.rehearsal import samples
from orchestration.runs.check_command import check_words
from orchestration.storage.runs import Run
from orchestration.telemetry.span import caller_trace

_PATIENCE = 10.0

_PATIENCE_OPTION: Mapping[str, Any] = {
    "type": common.SecondsParam(min=0),
    "default": _PATIENCE,
    "show_default": True,
    "help": "Seconds to wait for a provider before stopping; the run can then be resumed.",
}
patience_option = click.option("--patience", **_PATIENCE_OPTION)


def patience_parameter() -> click.Option:
    """The same option for commands that are built from a table."""
    return click.Option(["--patience"], **_PATIENCE_OPTION)


@click.command()
@click.argument("goal", nargs=-1)
@common.goal_file_option
@common.workspace_option
@click.option("--agent", help="Run this agent alone.")
@common.provider_option
@click.option("--model", help="The model of that provider.  [default: the agents' own]")
@common.priority_option
@click.option(
    "--check",
    "checks",
    multiple=True,
    help="A command that must pass at the end; `auto` for the project's tests. Repeatable.",
)
@click.option("--approve", multiple=True, help="Ask for approval before this agent starts. Repeatable.")
@click.option("--seconds", type=common.SecondsParam(min=1), help="The working time that the run may use.")
@click.option("--tokens", type=click.IntRange(min=1), help="The tokens that the run may use.")
@click.option("--usd", type=common.SecondsParam(min=0.01), help="The dollars that the run may spend.")
@click.option(
    "--in-place/--worktree",
    "in_place",
    default=None,
    help="Work in your own git tree, or in a worktree on a branch.  [default: the configuration's]",
)
@click.option("--queue", is_flag=True, help="Leave the run to `orchestrator serve` and return at once.")
@patience_option
@common.json_option
@click.pass_obj
def run(
    config: str,
    goal: tuple[str, ...],
    goal_file: Path | None,
    workspace: Path | None,
    agent: str | None,
    provider: str | None,
    model: str | None,
    priority: str,
    checks: tuple[str, ...],
    approve: tuple[str, ...],
    seconds: float | None,
    tokens: int | None,
    usd: float | None,
    in_place: bool | None,
    queue: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Run the agents on GOAL, and follow the run until it ends. `-` reads the goal from standard input."""
    text = common.read_goal(goal, goal_file)
    if text is None:
        raise UsageError('There is no goal. Say what should be done: orchestrator run "make the tests pass"')
    root = workspace or Path.cwd()
    wanted = RunSpec(
        text,
        root,
        agent,
        provider,
        priority,
        [check_words(check, root) for check in checks],
        approve,
        seconds,
        tokens,
        usd,
        in_place,
        model,
    )

    arguments = wanted.arguments()
    arguments["options"] |= caller_trace(os.environ.get("TRACEPARENT"))

    async def work() -> int:
        async with application(config) as app:
            # None lets the launcher decide by whether workers are running; False would keep the run in this process.
            new = await app.launcher.start(text, root, queue=queue or None, **arguments)
            common.tell_what_is_hidden(text, new.goal)
            if queue:
                return _say_queued(new, as_json=as_json)
            return await follow_to_end(app, [new], patience, as_json)

    return common.run_async(work)


@click.command()
@click.option("--provider", help="Let this provider work on the sample, and kill nothing.")
@common.json_option
@click.pass_obj
def demo(config: str, provider: str | None, as_json: bool) -> int:
    """Work on the sample repository, kill the provider in the middle, and show how the system repairs that.

    It takes about half a minute and needs neither a key nor a network. With --provider, the agents work on a copy of
    the sample, a bug with a failing test, in this project.
    """
    if provider is None:
        with project(config) as here:
            return show_demonstration(here, as_json=as_json)

    async def work() -> int:
        async with application(config) as app:
            return await follow_to_end(app, [await _start_sample(app, provider=provider)], _PATIENCE, as_json)

    return common.run_async(work)


async def _start_sample(app: Application, **values: Any) -> Run:
    # A fresh copy each time: agents change the files, and the bug must be there for the next demo.
    sample = samples.copy_to(app.new_demo_folder())
    options: dict[str, Any] = {"checks": [list(sample.test_command)]}
    return await app.launcher.start(sample.goal, sample.workspace, options=options, **values)


async def follow_to_end(app: Application, runs: Sequence[Run], patience: float, as_json: bool) -> int:
    """Follow runs, and print how they ended; returns the exit code."""
    ended = await follow(app, runs, patience=patience, quiet=as_json)
    if as_json:
        common.print_json([{**common.plain(run), "artifacts": app.artifacts_of(run)} for run in ended])
    return conclude(app, ended, quiet=as_json)


def _say_queued(run: Run, *, as_json: bool) -> int:
    if as_json:
        common.print_json(run)
    else:
        echo(f"{run.id}: queued for `orchestrator serve`; `orchestrator runs show {run.id}` shows it")
    return 0

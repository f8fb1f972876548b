"""`orchestrator run`, `demo` and `coordinate`: start a run and follow it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from orchestration.app import Application, application
from orchestration.cli import common
from orchestration.cli.follow import conclude, follow
from orchestration.cli.render import age, console, runs_table
from orchestration.errors import UsageError
from orchestration.rehearsal import samples
from orchestration.storage.runs import Run

_PATIENCE = 10.0

patience_option = click.option(
    "--patience",
    type=common.SecondsParam(min=0),
    default=_PATIENCE,
    show_default=True,
    help="Seconds to wait for a provider before stopping; the run can then be resumed.",
)


@click.command()
@click.argument("goal", nargs=-1)
@click.option("--goal-file", type=click.Path(path_type=Path), help="Read the goal from a file, such as an issue.")
@common.workspace_option
@click.option("--agent", help="Run this agent alone.")
@common.provider_option
@common.priority_option
@click.option("--check", "checks", multiple=True, help="A command that must pass at the end. Repeatable.")
@click.option("--approve", multiple=True, help="Ask for approval before this agent starts. Repeatable.")
@click.option("--seconds", type=common.SecondsParam(min=1), help="The working time that the run may use.")
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
    priority: str,
    checks: tuple[str, ...],
    approve: tuple[str, ...],
    seconds: float | None,
    queue: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Run the agents on GOAL, and follow the run until it ends. `-` reads the goal from standard input."""
    text = common.read_goal(goal, goal_file)
    if text is None:
        raise UsageError('There is no goal. Say what should be done: orchestrator run "make the tests pass"')
    options: dict[str, Any] = {"checks": [split_command(check) for check in checks], "approve": list(approve)}
    if seconds is not None:
        options["seconds"] = seconds

    async def work() -> int:
        async with application(config) as app:
            new = await app.launcher.start(
                text,
                workspace or Path.cwd(),
                agent=agent,
                provider=provider,
                priority=priority,
                options=options,
                # None lets the launcher decide by whether workers are running; False would keep the run in this
                # process.
                queue=queue or None,
            )
            if queue:
                return _say_queued(new, as_json=as_json)
            return await _follow(app, [new], patience, as_json=as_json)

    return common.run_async(work)


@click.command()
@common.provider_option
@common.json_option
@click.pass_obj
def demo(config: str, provider: str | None, as_json: bool) -> int:
    """Run the agents on a copy of the sample repository: a bug with a failing test."""

    async def work() -> int:
        async with application(config) as app:
            # A first try must work without a key and without a network, but must not pretend: the label says that it
            # is a script.
            chosen = provider or await app.launcher.providers.first_answering()
            if chosen is None:
                chosen = "rehearsal"
                if not as_json:
                    click.echo(
                        "No real provider answers, so this demo uses the rehearsal provider: a script, not a model.\n"
                        "Everything it writes is labelled [rehearsal]. For a real one: orchestrator providers list\n"
                    )
            new = await _start_sample(app, provider=chosen)
            return await _follow(app, [new], _PATIENCE, as_json=as_json)

    return common.run_async(work)


@click.command()
@click.argument("goal", nargs=-1)
@common.workspace_option
@common.provider_option
@patience_option
@common.json_option
@click.pass_obj
def coordinate(
    config: str, goal: tuple[str, ...], workspace: Path | None, provider: str | None, patience: float, as_json: bool
) -> int:
    """Show unfinished runs and continue them; if there are none, start one on GOAL or on the sample."""
    text = common.read_goal(goal, None)

    async def work() -> int:
        async with application(config) as app:
            runs = list(await app.control.unfinished())
            if runs and not as_json:
                _say_state(app, runs)
            # A goal that was given is work of its own; without one, the sample must not be added to runs that wait
            # already.
            if not runs or text is not None:
                runs.append(await start_given_or_sample(app, text, workspace, provider=provider))
            await app.launcher.resume_abandoned(runs)
            return await _follow(app, runs, patience, as_json=as_json)

    return common.run_async(work)


def _say_state(app: Application, runs: Sequence[Run]) -> None:
    """Where unfinished runs stand: what each waits for, and what its agents were last seen doing."""
    now = app.clock.now()
    console().print(runs_table(runs, now))
    for run in runs:
        if run.reason:
            click.echo(f"  {run.id}: {run.reason}")
        # The last few are what an operator needs to see whether the run is stuck.
        for beat in app.timeline.list_heartbeats(run.id)[-3:]:
            click.echo(f"  {run.id}: {beat.agent}: {beat.activity}, {age(now, beat.progress_at)} ago")
    click.echo()


async def start_given_or_sample(
    app: Application, goal: str | None, workspace: Path | None, *, agent: str | None = None, provider: str | None = None
) -> Run:
    """Start a run on the goal, else on the workspace's backlog, else on a copy of the sample."""
    folder = workspace or Path.cwd()
    backlog = folder / common.BACKLOG
    if goal is None and backlog.is_file():
        goal = common.checked_goal(backlog.read_text(encoding="utf-8"))
    if goal is None:
        return await _start_sample(app, agent=agent, provider=provider)
    return await app.launcher.start(goal, folder, agent=agent, provider=provider)


async def _start_sample(app: Application, **values: Any) -> Run:
    # A fresh copy each time: agents change the files, and the bug must be there for the next demo.
    sample = samples.copy_to(app.new_demo_folder())
    options: dict[str, Any] = {"checks": [list(sample.test_command)]}
    return await app.launcher.start(sample.goal, sample.workspace, options=options, **values)


async def _follow(app: Application, runs: Sequence[Run], patience: float, *, as_json: bool) -> int:
    ended = await follow(app, runs, patience=patience, quiet=as_json)
    if as_json:
        common.print_json([{**common.plain(run), "artifacts": app.artifacts_of(run)} for run in ended])
    return conclude(app, ended, quiet=as_json)


def _say_queued(run: Run, *, as_json: bool) -> int:
    if as_json:
        common.print_json(run)
    else:
        click.echo(f"{run.id}: queued for `orchestrator serve`; `orchestrator runs show {run.id}` shows it")
    return 0


def split_command(text: str) -> list[str]:
    """A command line as its words, without a shell. Raises UsageError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"expected a command, got '{text}': {error}") from error
    if not words:
        raise UsageError("expected a command, got an empty one")
    return words

"""`orchestrator coordinate`: show every run that needs something, and go on with those that can go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from orchestration.app import Application, application
from orchestration.app.run_states import RunState, run_states
from orchestration.cli import common
from orchestration.cli.follow import conclude, follow
from orchestration.cli.isolate import echo_isolation
from orchestration.cli.output import echo
from orchestration.cli.render import age, console, runs_table
from orchestration.cli.run import patience_option
from orchestration.config.isolation import isolation_of
from orchestration.domain.console_command import show_command
from orchestration.errors import UsageError
from orchestration.runs.activity_text import activity_text
from orchestration.storage.runs import Run

# The last few are what an operator needs to see whether a run is stuck.
_AGENTS_SHOWN = 3


@click.command()
@click.argument("goal", nargs=-1)
@common.goal_file_option
@common.workspace_option
@common.provider_option
@patience_option
@common.json_option
@click.pass_obj
def coordinate(
    config: str,
    goal: tuple[str, ...],
    goal_file: Path | None,
    workspace: Path | None,
    provider: str | None,
    patience: float,
    as_json: bool,
) -> int:
    """Show every unfinished, failed, refused and held run with the command to type next, and continue those that can
    continue by themselves. With a GOAL, also start a run on it; without one, nothing new is started."""
    text = common.read_goal(goal, goal_file)
    if text is None and (workspace or provider):
        raise UsageError("--workspace and --provider are for a new run. Say what it should do: add a goal.")

    async def work() -> int:
        async with application(config) as app:
            states = await run_states(app)
            if not as_json:
                _print_states(app, states, idle=text is None)
            going = [state.run for state in states if state.need.continues]
            if text is not None:
                going.append(await app.launcher.start(text, workspace or Path.cwd(), provider=provider))
                common.tell_what_is_hidden(text, going[-1].goal)
            return await _continue(app, going, states, patience, as_json=as_json)

    return common.run_async(work)


async def _continue(
    app: Application, going: Sequence[Run], states: Sequence[RunState], patience: float, *, as_json: bool
) -> int:
    await app.launcher.resume_abandoned(going)
    ended = await follow(app, going, patience=patience, quiet=as_json) if going else ()
    if as_json:
        common.print_json(list(_records(app, ended, states)))
    return conclude(app, ended, quiet=as_json)


def _print_states(app: Application, states: Sequence[RunState], *, idle: bool) -> None:
    echo_isolation(isolation_of(app.store))
    if not states:
        echo("No run is unfinished or has failed.")
        if idle:
            echo('Start one: orchestrator run "GOAL"')
        return
    now = app.clock.now()
    console().print(runs_table([state.run for state in states], now))
    for state in states:
        run = state.run
        if run.reason:
            echo(f"  {run.id}: {run.reason}")
        beats = () if run.status.ended else app.timeline.list_heartbeats(run.id)[-_AGENTS_SHOWN:]
        for beat in beats:
            echo(f"  {run.id}: {beat.agent}: {activity_text(beat)}, {age(now, beat.progress_at)} ago")
        echo(f"  {run.id}: {_next(state)}")
    echo()


def _next(state: RunState) -> str:
    if state.need.continues:
        return f"goes on now; to see it: {show_command(state.run.id)}"
    return f"next: {state.need.command}"


def _records(app: Application, ended: Sequence[Run], states: Sequence[RunState]) -> Iterator[dict[str, Any]]:
    """The runs that were continued or started, as they are now, then those that wait for the command in `next`."""
    for run in ended:
        yield {**common.plain(run), "artifacts": app.artifacts_of(run), "next": None}
    for state in states:
        if not state.need.continues:
            yield {**common.plain(state.run), "artifacts": app.artifacts_of(state.run), "next": state.need.command}

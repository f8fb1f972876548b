"""`orchestrator runs`: list, show and steer runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from orchestration.app import application, project
from orchestration.cli import common
from orchestration.cli.follow import conclude, follow
from orchestration.cli.questions import AskingSubject, OpenQuestion, add_answer_commands, asking_here, question_lines
from orchestration.cli.render import age, console, outcome_text, runs_table, table
from orchestration.cli.run import patience_option, rounds_option
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.events.render import followed_line
from orchestration.storage.runs import Run
from orchestration.storage.timeline import HeartbeatRow
from orchestration.workflows.step_count import count_steps

_run_argument = click.argument("run", metavar="RUN")
# Repeated steps can be counted only over the whole timeline; the limit bounds the memory that a runaway run could
# take.
_MOST_EVENTS = 100_000


@click.group()
def runs() -> None:
    """Runs. RUN is an identifier, a unique start or end of one, or `latest`."""


@runs.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice([status.value for status in RunStatus]))
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@common.json_option
@click.pass_obj
def list_runs(config: str, statuses: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the newest runs."""
    with project(config) as here:
        found = here.runs.list([RunStatus(status) for status in statuses], limit)
        if as_json:
            common.print_json(found)
        elif found:
            console().print(runs_table(found, here.clock.now()))
        else:
            click.echo('no runs yet; start one: orchestrator run "make the tests pass"')


@runs.command()
@_run_argument
@click.option("--events", "with_events", is_flag=True, help="Show every event, not only the latest.")
@common.json_option
@click.pass_obj
def show(config: str, run: str, with_events: bool, as_json: bool) -> None:
    """Show a run: its progress, what its agents do, and its artifacts."""
    with project(config) as here:
        found = here.find_run(run)
        events = [event for _, event in here.timeline.list(found.id, limit=_MOST_EVENTS)]
        beats = here.timeline.list_heartbeats(found.id)
        steps = count_steps(events)
        artifacts = here.artifacts_of(found)
        # An artifact is evidence of what a run did, so a file that was changed afterwards must not pass for it.
        altered = here.artifacts.verify(found.id)
        questions = here.approvals.list_open(found.id)
        if as_json:
            record = {
                **common.plain(found),
                "steps": steps,
                "agents": beats,
                "artifacts": artifacts,
                "altered_artifacts": [{"name": name, "problem": problem} for name, problem in altered],
                "questions": questions,
                "events": events if with_events else events[-20:],
            }
            common.print_json(record)
            return
        click.echo(f"goal       {found.goal.strip()}")
        click.echo(outcome_text(found, artifacts).lstrip("\n"))
        click.echo(f"  steps      {steps.executed} executed, {steps.committed_repeated} committed steps repeated")
        for name, problem in altered:
            click.echo(f"  artifact   {name} is {problem}: it is not what the run wrote")
        for line in question_lines([OpenQuestion(one.id, one.subject, one.question) for one in questions]):
            click.echo(f"  {line}")
        _print_progress(found, events, beats, here.clock.now(), shown=len(events) if with_events else 15)


def _print_progress(
    run: Run, events: Sequence[Event], beats: Sequence[HeartbeatRow], now: datetime, *, shown: int
) -> None:
    """What the agents of an unfinished run do, and the last lines of its timeline."""
    if not run.status.ended and beats:
        rows = [(beat.agent, beat.activity, f"{age(now, beat.progress_at)} ago") for beat in beats]
        console().print(table(("AGENT", "LAST SEEN DOING", "WHEN"), rows))
    lines = [f"{event.at:%H:%M:%S} {line}" for event in events if (line := followed_line(event))]
    click.echo("\n" + "\n".join(lines[-shown:]))


@runs.command()
@_run_argument
@common.json_option
@click.pass_obj
def steps(config: str, run: str, as_json: bool) -> None:
    """List the parts of a run, with the numbers for `runs fork --from`."""

    async def work() -> None:
        async with application(config) as app:
            parts = await app.control.parts(app.find_run(run).id)
            if as_json:
                common.print_json([{"number": part.number, "part": part.child_id} for part in parts])
                return
            rows = [(str(part.number), str(part.child_id)) for part in parts]
            console().print(table(("NUMBER", "PART"), rows))

    common.run_async(work)


@runs.command()
@_run_argument
@rounds_option
@patience_option
@common.json_option
@click.pass_obj
def resume(config: str, run: str, rounds: int | None, patience: float, as_json: bool) -> int:
    """Continue a run from its last committed steps, and follow it."""
    return _steer(config, run, patience, as_json, lambda app, found: app.launcher.resume(found.id, rounds=rounds))


@runs.command()
@_run_argument
@click.option("--from", "number", type=int, help="The part to start from.  [default: the last]")
@patience_option
@common.json_option
@click.pass_obj
def fork(config: str, run: str, number: int | None, patience: float, as_json: bool) -> int:
    """Start a new run that shares everything before a part of RUN, in a copy of its workspace as it was then."""
    return _steer(config, run, patience, as_json, lambda app, found: app.launcher.fork(found.id, number))


@runs.command()
@_run_argument
@click.option("--reason", default="", help="The reason; stored with the run.")
@common.json_option
@click.pass_obj
def cancel(config: str, run: str, reason: str, as_json: bool) -> None:
    """Stop a run and its running tools. It can be resumed."""

    async def work() -> None:
        async with application(config) as app:
            found = await app.control.cancel(app.find_run(run).id, reason)
            if as_json:
                common.print_json(app.find_run(found.id))
            else:
                click.echo(f"{found.id}: cancelled; go on with: orchestrator runs resume {found.id}")

    common.run_async(work)


def _steer(config: str, run: str, patience: float, as_json: bool, action: Any) -> int:
    async def work() -> int:
        async with application(config) as app:
            going = await action(app, app.find_run(run))
            ended = await follow(app, [going], patience=patience, quiet=as_json)
            if as_json:
                common.print_json({**common.plain(ended[0]), "artifacts": app.artifacts_of(ended[0])})
            return conclude(app, ended, quiet=as_json)

    return common.run_async(work)


@contextmanager
def _asking(context: click.Context, text: str) -> Iterator[AskingSubject]:
    # The records are enough: the process that executes the run reads the answer from the database.
    with project(context.obj) as here:
        found = here.find_run(text)
        yield asking_here(here, found.id, found.status)


add_answer_commands(
    runs,
    "RUN",
    _asking,
    approve="Approve the open question of a run.",
    deny="Deny the open question of a run.",
)

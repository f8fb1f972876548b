"""`orchestrator runs`: list, show and steer runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from orchestration.app import Application, application, project
from orchestration.cli import common
from orchestration.cli.call_texts import call_text, calls_table, comparison_tables
from orchestration.cli.command_parameters import add_commands
from orchestration.cli.follow import conclude, follow
from orchestration.cli.output import echo
from orchestration.cli.questions import AskingSubject, OpenQuestion, add_answer_commands, asking_here, question_lines
from orchestration.cli.render import age, console, first_line, outcome_text, runs_table, table
from orchestration.cli.run import patience_parameter
from orchestration.domain.run_status import RunStatus
from orchestration.errors import UsageError
from orchestration.events import Event
from orchestration.events.render import followed_line
from orchestration.runs.activity_text import activity_seconds, activity_text, is_fresh, tail_lines
from orchestration.runs.approval_text import approval_effect
from orchestration.runs.commands.base import RunCommand
from orchestration.runs.commands.table import RUN_COMMANDS
from orchestration.runs.plan_progress import PlanProgress, agents_at_work
from orchestration.runs.run_time import run_time
from orchestration.storage.runs import Run
from orchestration.storage.timeline import HeartbeatRow
from orchestration.workflows.step_count import count_steps

_run_argument = click.argument("run", metavar="RUN")
# Repeated steps can be counted only over the whole timeline; the limit bounds the memory that a runaway run could
# take.
_MOST_EVENTS = 100_000


@click.group()
def runs() -> None:
    """Runs. RUN is an identifier, a unique beginning or end of one, or `latest`."""


@runs.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in RunStatus]),
    help="Only of this status. Repeatable.",
)
@common.limit_option()
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
            echo('no runs yet; start one: orchestrator run "make the tests pass"')


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
        steps, spent = count_steps(events), run_time(found, events, here.clock.now())
        artifacts = here.artifacts_of(found)
        # An artifact is evidence of what a run did, so a file that was changed afterwards must not pass for it.
        altered = here.artifacts.verify(found.id)
        questions = here.approvals.list_open(found.id)
        if as_json:
            record = {
                **common.plain(found),
                "steps": steps,
                "time": spent,
                "agents": beats,
                "plan": list(PlanProgress.of(events).steps.values()),
                "artifacts": artifacts,
                "altered_artifacts": [{"name": name, "problem": problem} for name, problem in altered],
                "questions": questions,
                "events": events if with_events else events[-20:],
            }
            common.print_json(record)
            return
        echo(f"goal       {found.goal.strip()}")
        echo(outcome_text(found, artifacts).lstrip("\n"))
        waited = "".join(f", {use.value} {seconds:.0f} s" for use, seconds in spent.others)
        echo(f"  took       {spent.working:.1f} s{waited}")
        echo(f"  steps      {steps.executed} executed, {steps.committed_repeated} committed steps repeated")
        for name, problem in altered:
            echo(f"  artifact   {name} is {problem}: it is not what the run wrote")
        for one in questions:
            echo(f"  {approval_effect(one, found, here.configuration)}")
        for line in question_lines([OpenQuestion(one.id, one.subject, one.question) for one in questions]):
            echo(f"  {line}")
        _print_progress(found, events, beats, here.clock.now(), shown=len(events) if with_events else 15)


def _print_progress(
    run: Run, events: Sequence[Event], beats: Sequence[HeartbeatRow], now: datetime, *, shown: int
) -> None:
    """What the agents of an unfinished run do, and the last lines of its timeline."""
    plan = PlanProgress.of(events)
    if plan.steps:
        states = ", ".join(f"{step.title}: {step.state.value}" for step in plan.steps.values())
        echo(f"  plan       {plan.done} of {len(plan.steps)} steps done ({first_line(states, 300)})")
    at_work = agents_at_work(events)
    beats = [beat for beat in beats if beat.agent_run_id in at_work or is_fresh(beat, now)]
    if not run.status.ended and beats:
        rows = [
            (
                beat.agent,
                activity_text(beat),
                f"{activity_seconds(beat, now):.0f} s",
                f"{age(now, beat.progress_at)} ago",
                "".join(tail_lines(beat, 1))[-60:],
            )
            for beat in beats
        ]
        console().print(table(("AGENT", "LAST SEEN DOING", "FOR", "PROGRESS", "HEARD OR PRINTED"), rows))
    lines = [f"{event.at:%H:%M:%S} {line}" for event in events if (line := followed_line(event))]
    echo("\n" + "\n".join(lines[-shown:]))


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
@click.argument("call", required=False)
@common.json_option
@click.pass_obj
def calls(config: str, run: str, call: str | None, as_json: bool) -> None:
    """List the model calls, tool calls and checks of a run, or show what was said in one, such as `planner/1`."""
    with project(config) as here:
        found, now = here.find_run(run), here.clock.now()
        if call is None:
            listed = here.calls.list(found, now)
            if as_json:
                common.print_json(listed)
            elif listed:
                console().print(calls_table(found.id, listed))
            else:
                echo(f"{found.id} has made no calls yet")
            return
        details = here.calls.read(found, call, now, whole=True)
        if as_json:
            common.print_json(details)
        else:
            echo(call_text(details))


@runs.command()
@_run_argument
@click.argument("other", metavar="OTHER")
@common.json_option
@click.pass_obj
def compare(config: str, run: str, other: str, as_json: bool) -> None:
    """Compare two runs, such as a run and its fork: settings, steps, results, time and cost side by side."""
    with project(config) as here:
        found = here.comparisons.compare(here.find_run(run), here.find_run(other), here.clock.now())
        if as_json:
            common.print_json(found)
        else:
            for each in comparison_tables(found):
                console().print(each)


@runs.command()
@_run_argument
@click.option("--names", is_flag=True, help="Only the names of the files.")
@common.json_option
@click.pass_obj
def diff(config: str, run: str, names: bool, as_json: bool) -> None:
    """Show what a run has changed, as a patch that `git apply` takes."""

    async def work() -> None:
        async with application(config) as app:
            found, changes = app.find_run(run), app.run_service.changes
            if as_json:
                patch = (await changes.patch(found)).decode("utf-8", "replace")
                common.print_json({"run": found.id, "files": await changes.files(found), "patch": patch})
            elif names:
                for file in await changes.files(found):
                    echo(f"{file.how:<8} {file.path}")
            else:
                _write_patch(await changes.patch(found))

    common.run_async(work)


def _write_patch(patch: bytes) -> None:
    if sys.stdout.isatty():
        echo(patch.decode("utf-8", "replace"), nl=False)
    else:
        sys.stdout.buffer.write(patch)  # for `git apply`, so as it is: it may hold any bytes


@runs.command("open")
@_run_argument
@click.option("--path", "path_only", is_flag=True, help="Only print the folder.")
@common.json_option
@click.pass_obj
def open_run(config: str, run: str, path_only: bool, as_json: bool) -> int:
    """Open the folder that a run works in, in the editor named by VISUAL or EDITOR; without one, print it."""
    with project(config) as here:
        found = here.find_run(run)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if as_json:
        common.print_json({"run": found.id, "folder": found.folder})
    elif not Path(found.folder).is_dir():
        raise UsageError(f"{found.folder} is gone; the patch of {found.id} is among its artifacts")
    elif path_only or not editor:
        echo(found.folder)
    else:
        return subprocess.run([*shlex.split(editor), found.folder], check=False).returncode  # noqa: S603
    return 0


def _give(context: click.Context, run: str, command: RunCommand, as_json: bool) -> int:
    async def work() -> int:
        async with application(context.obj) as app:
            # In this process, whatever workers there are: what is followed here can be interrupted here.
            changed = await app.run_service.execute(run, command, by=common.user_name(), queue=False)
            if command.followed:
                return await _follow(app, changed, context.params["patience"], as_json)
            if as_json:
                common.print_json(changed)
            else:
                echo(command.report(changed))
            return 0

    return common.run_async(work)


async def _follow(app: Application, run: Run, patience: float, as_json: bool) -> int:
    ended = await follow(app, [run], patience=patience, quiet=as_json)
    if as_json:
        common.print_json({**common.plain(ended[0]), "artifacts": app.artifacts_of(ended[0])})
    return conclude(app, ended, quiet=as_json)


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
add_commands(runs, RUN_COMMANDS, "RUN", _give, more=lambda command: [patience_parameter()] if command.followed else [])

"""`orchestrator maintenance`: the regular jobs, and what people sign off."""

from __future__ import annotations

import anyio.to_thread
import click

from orchestration.app import application, project
from orchestration.app import maintenance as project_maintenance
from orchestration.app.maintenance import ProjectMaintenance
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, first_line, table
from orchestration.maintenance.jobs import SIGN_OFFS
from orchestration.maintenance.reports import moment
from orchestration.maintenance.scheduler import JobStatus
from orchestration.storage.maintenance import JobOutcome, JobRun, MaintenanceRecords, SignOff


@click.group()
def maintenance() -> None:
    """Maintenance jobs, daily, weekly and monthly; `orchestrator serve` runs them when they are due."""


@maintenance.command("list")
@common.json_option
@click.pass_obj
def list_jobs(config: str, as_json: bool) -> None:
    """List the jobs, when each is due, how its last run ended, and what is waiting to be signed off."""

    async def load() -> tuple[tuple[JobStatus, ...], tuple[SignOff, ...]]:
        # The jobs are built with the engine, whose records retention deletes, so records alone are not enough.
        async with application(config) as app:
            opened_maintenance = ProjectMaintenance(app)
            statuses = await anyio.to_thread.run_sync(opened_maintenance.service.statuses)
            return statuses, await anyio.to_thread.run_sync(
                lambda: opened_maintenance.records.list_sign_offs(only_open=True)
            )

    statuses, sign_offs = common.run_async(load)
    if as_json:
        common.print_json({"jobs": statuses, "duties": sign_offs})
        return
    rows = [
        (
            one.job,
            one.cron or "off",
            moment(one.due_at),
            "" if one.last is None else f"{one.last.outcome.value} {moment(one.last.started_at)}",
            one.about,
        )
        for one in statuses
    ]
    console().print(table(("JOB", "CRON", "DUE", "LAST", "WHAT"), rows))
    for one in sign_offs:
        echo(f"to be signed off: {one.duty} ({one.period}): {SIGN_OFFS.get(one.duty, '')}")


@maintenance.command("run")
@click.argument("job", metavar="JOB")
@common.json_option
@click.pass_obj
def run_job(config: str, job: str, as_json: bool) -> int:
    """Run JOB now. Exit code 1 if it fails."""

    async def run() -> JobRun:
        async with application(config) as app:
            return await ProjectMaintenance(app).service.run_now(job, common.user_name())

    done = common.run_async(run)
    if as_json:
        common.print_json(done)
    else:
        echo(f"{done.job} {done.outcome.value}: {done.output}")
    return 0 if done.outcome is JobOutcome.SUCCEEDED else 1


@maintenance.command()
@click.argument("job", metavar="[JOB]", required=False)
@common.limit_option()
@common.json_option
@click.pass_obj
def history(config: str, job: str | None, limit: int, as_json: bool) -> None:
    """Show the last runs of JOB, or of all jobs, with their output."""
    with project(config) as here:
        found = MaintenanceRecords(here.database).list_runs(job, limit=limit)
        if as_json:
            common.print_json(found)
            return
        rows = [
            (one.job, moment(one.started_at), one.outcome.value, one.actor, first_line(one.output, 90)) for one in found
        ]
        console().print(table(("JOB", "STARTED", "OUTCOME", "BY", "OUTPUT"), rows))


@maintenance.command("sign-off")
@click.argument("duty", metavar="DUTY")
@click.option("--note", required=True, help="What was done, and with what result. Others will read it.")
@common.json_option
@click.pass_obj
def sign_off(config: str, duty: str, note: str, as_json: bool) -> None:
    """Sign off DUTY: confirm that you have done this monthly task."""
    with project(config) as here:
        actor = common.user_name()
        signed = project_maintenance.sign_off(here, duty, actor, note)
        if as_json:
            common.print_json(signed)
        else:
            echo(f"{duty}: signed off by {actor}")

"""`orchestrator serve`: the control process."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import click

from orchestration.app import application
from orchestration.app.control import serving
from orchestration.cli import common
from orchestration.events import Event


@click.command()
@click.option("--workers", type=click.IntRange(0, 64), help="How many.  [default: the configuration's runtime.workers]")
@click.option("--drill", is_flag=True, help="Mark every incident as rehearsed: it counts in no figure.")
@click.pass_obj
def serve(config: str, workers: int | None, drill: bool) -> int:
    """Take waiting and scheduled runs until told to stop (Ctrl-C, SIGTERM). Unfinished runs can be resumed then."""

    async def work() -> int:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with application(config) as app:
                app.bus.subscribe(_tell)
                async with serving(app, Path(config), workers, drill=drill) as control:
                    click.echo(f"serving {app.root} with {len(control.supervisor.workers)} workers; Ctrl-C stops it")
                    async for _ in signals:
                        click.echo("stopping: unfinished runs keep their place and go on with the next serve")
                        break
        click.echo("stopped")
        return 0

    return common.run_async(work)


def _tell(event: Event) -> None:
    data = event.data
    sentences = {
        "worker.started": "worker {worker} started (process {pid})",
        "worker.lost": "worker {worker} (process {pid}) ended by itself with exit code {exit_code}",
        "worker.killed": "worker {worker} (process {pid}) was killed: {reason}; it was doing: {doing}",
        "worker.replaced": "worker {worker} is replaced",
        "calendar.applied": "calendar: {schedules}",
        "configuration.refused": "the configuration was refused; {message}",
    }
    if event.kind not in sentences or (event.kind == "calendar.applied" and not data["schedules"]):
        return
    named = {**data, "schedules": ", ".join(data.get("schedules", ()))}
    click.echo(f"{event.at:%H:%M:%S} {sentences[event.kind].format(**named)}")

"""`orchestrator serve`: the control process."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlencode

import anyio
import anyio.to_thread
import click

from orchestration.app import Application, application
from orchestration.app.control import ControlProcess, serving
from orchestration.app.database_wait import wait_for_database
from orchestration.cli import common
from orchestration.cli.exposure_options import exposure_from, exposure_options
from orchestration.cli.output import echo
from orchestration.clock import SystemClock
from orchestration.events import Event
from orchestration.events.configuration import ConfigurationRefused
from orchestration.events.render import render
from orchestration.events.runs import CalendarApplied
from orchestration.events.workers import WorkerKilled, WorkerLost, WorkerReplaced, WorkerStarted
from orchestration.web.exposure import DEFAULT_PORT, Exposure

if TYPE_CHECKING:
    from orchestration.web.server import WebServer

_SHOWN = (WorkerStarted, WorkerLost, WorkerKilled, WorkerReplaced, CalendarApplied, ConfigurationRefused)


@click.command()
@click.option(
    "--workers", type=click.IntRange(0, 64), help="How many workers.  [default: the configuration's runtime.workers]"
)
@exposure_options(DEFAULT_PORT, ", or a free one if that is in use")
@click.option("--no-sign-in", is_flag=True, help="Allow everything to everyone on this machine.")
@click.option("--drill", is_flag=True, help="Mark every incident as a drill: it counts in no figure.")
@click.option("--no-web", is_flag=True, help="Do not serve the dashboard and the API.")
@click.pass_obj
def serve(
    config: str,
    /,
    workers: int | None,
    no_sign_in: bool,
    drill: bool,
    no_web: bool,
    **given: Any,
) -> int:
    """Execute queued and scheduled runs, respond to incidents, and serve the dashboard and the API until stopped
    (Ctrl-C, SIGTERM). Unfinished runs can be resumed afterwards."""
    # Before anything starts: a wrong proxy or host must not leave half a server behind.
    wanted = exposure_from(DEFAULT_PORT, given, sign_in=not no_sign_in)

    async def work() -> int:
        # Received from here on, and not as a KeyboardInterrupt: workers and leases are released in order even if the
        # signal comes while the process is still starting (https://anyio.readthedocs.io/en/stable/signals.html).
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            if not await _may_be_opened(Path(config), signals, drill=drill):
                echo("stopped")
                return 0
            async with application(config) as app:
                app.bus.subscribe(_tell)
                async with (
                    serving(app, Path(config), workers, drill=drill) as control,
                    # Inside `serving`, so that it closes first: no page shows a response that is being dismantled.
                    _web(app, control, None if no_web else wanted, any_port=given["port"] is None),
                ):
                    echo(f"serving {app.root} with {len(control.supervisor.workers)} workers; Ctrl-C stops it")
                    async for _ in signals:
                        echo("stopping; the next `orchestrator serve` continues unfinished runs")
                        break
        echo("stopped")
        return 0

    return common.run_async(work)


async def _may_be_opened(config_file: Path, signals: AsyncIterator[signal.Signals], *, drill: bool) -> bool:
    """Wait as long as the database is away; False if the process is to stop meanwhile."""
    stopped = False
    async with anyio.create_task_group() as group:

        async def stop() -> None:
            nonlocal stopped
            async for _ in signals:
                stopped = True
                group.cancel_scope.cancel()

        group.start_soon(stop)
        await wait_for_database(config_file, SystemClock(), echo, drill=drill)
        group.cancel_scope.cancel()
    return not stopped


@contextlib.asynccontextmanager
async def _web(
    app: Application, control: ControlProcess, wanted: Exposure | None, *, any_port: bool
) -> AsyncIterator[None]:
    if wanted is None:
        yield
        return
    # The web framework is imported by this command alone, and not even here with --no-web.
    from orchestration.web.server import serving_web

    async with serving_web(app, control, wanted, any_port=any_port) as (web, url):
        control.serves_at(url)
        echo(f"dashboard and API: {url}")
        if wanted.sign_in:
            await _say_how_to_begin(web, url)
        else:
            echo("without sign-in: everyone on this machine may do everything")
        yield


async def _say_how_to_begin(web: WebServer, url: str) -> None:
    if await anyio.to_thread.run_sync(web.access.has_users):
        return
    if _is_kept(sys.stdout):
        echo("nobody can sign in yet; create the first user: orchestrator users add NAME --role admin")
        return
    # Printed here only: whoever can read the console of this process is its operator, and may name the first admin.
    key = web.access.new_setup_key()
    echo(f"nobody can sign in yet; create the first user here, once:\n  {url}/setup?{urlencode({'key': key})}")


def _is_kept(output: TextIO) -> bool:
    """Whether what is printed goes to a file. A secret in it would lie there for others, and for agents if it is in
    their workspace."""
    try:
        return stat.S_ISREG(os.fstat(output.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _tell(event: Event) -> None:
    # An empty calendar is applied at a start without schedules and at every stop; neither is news.
    if isinstance(event.payload, _SHOWN) and event.payload != CalendarApplied(()):
        echo(f"{event.at:%H:%M:%S} {render(event)}")

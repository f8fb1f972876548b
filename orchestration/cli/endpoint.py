"""`orchestrator endpoint`: the gateway endpoint by itself, in several processes on one port."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import click

from orchestration.agents import worker as worker_program
from orchestration.app import ProjectRecords, project
from orchestration.app.membership import join
from orchestration.cli import common
from orchestration.cli.exposure_options import exposure_from, exposure_options
from orchestration.cli.output import echo
from orchestration.events import Event, EventBus
from orchestration.events.workers import WorkerKilled, WorkerLost, WorkerReplaced, WorkerStarted
from orchestration.web.exposure import DEFAULT_ENDPOINT_PORT, Exposure
from orchestration.web.forwarded import SECRET_VARIABLE, check_secret
from orchestration.web.gateway import endpoint_process
from orchestration.web.listener import listen
from orchestration.workers.supervisor import Supervisor, WorkerLimits


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=lambda: os.cpu_count() or 1,
    show_default="one for each processor",
    help="How many processes accept requests.",
)
@exposure_options(DEFAULT_ENDPOINT_PORT)
@click.pass_obj
def endpoint(config: str, /, processes: int, **given: Any) -> int:
    """Serve the gateway endpoint until stopped (Ctrl-C, SIGTERM): the model APIs of `orchestrator serve` and nothing
    else, in several processes on one port.

    The processes share the slots and the states of providers, budgets, and the limits of tokens. It joins a project as
    `orchestrator worker` does, so it may run on other machines as well; these have slots of their own.
    """
    wanted = exposure_from(DEFAULT_ENDPOINT_PORT, given)
    join(Path(config))
    return common.run_async(lambda: _serve(config, processes, wanted))


async def _serve(config: str, processes: int, wanted: Exposure) -> int:
    with (
        anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        project(config) as here,
        listen(wanted, any_port=False) as listening,
    ):
        check_secret(wanted.proxies, here.store.credentials.get(SECRET_VARIABLE))
        found, descriptor = replace(wanted, port=listening.getsockname()[1]), listening.fileno()
        arguments = str(here.config_file), endpoint_process.settings_of(found, descriptor)
        command = worker_program.command(endpoint_process.ENTRY_POINT, *arguments)
        supervisor = _supervisor(here, command, processes, descriptor)
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.run)
            echo(f"gateway endpoint: {found.url}/v1, by {processes} processes; Ctrl-C stops it")
            async for _ in signals:
                echo("stopping; requests in progress may end")
                break
            group.cancel_scope.cancel()
    echo("stopped")
    return 0


def _supervisor(here: ProjectRecords, command: tuple[str, ...], processes: int, descriptor: int) -> Supervisor:
    # A bus of its own: these are no workers, and nobody is to take their end for a lost worker's.
    bus = EventBus(here.clock)
    bus.subscribe(_show)

    def limits() -> WorkerLimits:
        runtime = here.configuration.runtime
        return WorkerLimits(runtime.worker_heartbeat_seconds, runtime.worker_memory_mb, runtime.worker_stop_seconds)

    return Supervisor(command, processes, limits, bus, here.clock, descriptors=(descriptor,))


def _show(event: Event) -> None:
    match event.payload:
        case WorkerStarted(worker=number, pid=pid):
            text = f"process {number} started ({pid})"
        case WorkerLost(worker=number, exit_code=code):
            text = f"process {number} ended with {code}; another takes its place"
        case WorkerKilled(worker=number, reason=reason):
            text = f"process {number} was killed ({reason}); another takes its place"
        case WorkerReplaced(worker=number, times=times):
            text = f"process {number} is replaced for the {times}. time"
        case _:
            return
    echo(f"{event.at:%H:%M:%S} {text}")

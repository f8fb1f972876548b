"""`orchestrator worker`: a worker that joins a project from any machine that reaches its database."""

from __future__ import annotations

import json
import signal
import socket
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from orchestration.agents import worker as worker_program
from orchestration.app import ProjectRecords, project, worker_main
from orchestration.app.membership import join
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.events import Event
from orchestration.events.render import render
from orchestration.workers.labels import unserved
from orchestration.workers.supervisor import Supervisor, WorkerLimits
from orchestration.workflows.processes import LiveProcess, WorkerProfile, live_processes

# What a worker needs to hand back what it has not finished, after its time to drain.
_HAND_BACK_SECONDS = 10.0


@click.command()
@click.option("--name", default=socket.gethostname, show_default="the host's", help="The name of this worker.")
@click.option("--label", "labels", multiple=True, help="Work on agents with this `runsOn`. Repeatable.")
@click.option("--only-labels", is_flag=True, help="Work only on those agents, not on runs.")
@click.option(
    "--capacity",
    type=click.IntRange(1, 1000),
    help="How many runs at once, and how many agents at once for each label.",
)
@click.option(
    "--drain",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    help="When stopped, finish what was begun for at most this many seconds; then hand it back.",
)
@click.option("--list", "listed", is_flag=True, help="List the workers that are running; start none.")
@common.json_option
@click.pass_obj
def worker(
    config: str,
    name: str,
    labels: tuple[str, ...],
    only_labels: bool,
    capacity: int | None,
    drain: float,
    listed: bool,
    as_json: bool,
) -> int:
    """Work on the runs of a project until stopped (Ctrl-C, SIGTERM).

    It joins through the database that the configuration names. On a machine without a configuration, the variable
    ORCHESTRATOR_DATABASE_URL names the database, and the configuration is read from there.
    """
    if listed:
        return _list(config, as_json=as_json)
    if only_labels and not labels:
        raise click.UsageError("--only-labels needs a --label.")
    join(Path(config))
    profile = WorkerProfile(name, labels, capacity, only_labels, drain)
    return common.run_async(lambda: _work(config, profile))


async def _work(config: str, profile: WorkerProfile) -> int:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals, project(config) as here:
        here.bus.subscribe(_show)
        supervisor = _supervisor(here, config, profile)
        async with anyio.create_task_group() as group:
            group.start_soon(supervisor.run)
            echo(f"worker {profile.name} has joined {here.root}; Ctrl-C stops it")
            async for _ in signals:
                echo(f"draining for at most {profile.drain_seconds:g} s; what is left is handed back")
                break
            group.cancel_scope.cancel()
    echo("stopped")
    return 0


def _supervisor(here: ProjectRecords, config: str, profile: WorkerProfile) -> Supervisor:
    """One worker under supervision: a loop that hangs is ended from outside, as under `serve`."""
    text = json.dumps(asdict(profile))
    command = worker_program.command(worker_main.ENTRY_POINT, str(Path(config).absolute()), text)

    def limits() -> WorkerLimits:
        runtime = here.configuration.runtime
        stop = profile.drain_seconds + max(_HAND_BACK_SECONDS, runtime.worker_stop_seconds)
        return WorkerLimits(runtime.worker_heartbeat_seconds, runtime.worker_memory_mb, stop)

    return Supervisor(command, 1, limits, here.bus, here.clock)


def _list(config: str, *, as_json: bool) -> int:
    with project(config) as here:
        found = [one for one in live_processes(here.leases) if one.shared]
        configuration = here.configuration
    agents = [(agent.id, agent.runs_on) for agent in configuration.agents]
    rows = [_row(one, [agent for agent, label in agents if one.profile.serves(label)]) for one in found]
    if as_json:
        common.print_json(rows)
    else:
        columns = ("WORKER", "HOST", "PID", "RELEASE", "STATE", "BUSY", "CAPACITY", "LABELS", "AGENTS")
        console().print(table(columns, [tuple(map(_shown, row.values())) for row in rows]))
        for label, waiting in unserved(configuration, found).items():
            echo(f'No worker has the label "{label}", so {", ".join(waiting)} would wait.')
    return 0


def _row(one: LiveProcess, agents: list[str]) -> dict[str, object]:
    profile = one.profile
    return {
        "worker": profile.name or one.executor,
        "host": one.host,
        "pid": one.pid,
        "release": one.version,
        "state": "drains" if one.draining else "works",
        "busy": one.busy,
        "capacity": profile.capacity,
        "labels": list(profile.labels),
        "agents": agents,
    }


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "" if value is None else str(value)


def _show(event: Event) -> None:
    echo(f"{event.at:%H:%M:%S} {render(event)}")

"""The entry point of a worker process, which `orchestration.agents.worker` calls by name."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterable
from functools import partial

import anyio

from orchestration.app.application import Application, application
from orchestration.config.schema import Configuration
from orchestration.domain.run_hold import RunHold
from orchestration.errors import OrchestratorError
from orchestration.playbooks.ids import is_response
from orchestration.workers.worker_process import WorkerProcess, WorkerServices, claim_standard_output
from orchestration.workflows.processes import WorkerProfile

_DRAIN_POLL_SECONDS = 0.2
ENTRY_POINT = "orchestration.app.worker_main:main"


def main(config_file: str, profile: str = "{}") -> int:
    """Work until asked to stop; returns the exit code. The profile is JSON."""
    # Standard output is claimed before the application is built: a library that prints during that would corrupt the
    # heartbeats.
    process = WorkerProcess(_services(config_file, _profile(profile)), claim_standard_output())
    try:
        anyio.run(process.run)
    except OrchestratorError as error:
        sys.stderr.write(f"worker: {error}\n")
        # The supervisor reports this code with the lost worker; a crash has another one.
        return 2
    return 0


def _profile(text: str) -> WorkerProfile:
    values = json.loads(text)
    return WorkerProfile(**{**values, "labels": tuple(values.get("labels", ()))})


@contextlib.asynccontextmanager
async def _services(config_file: str, profile: WorkerProfile) -> AsyncIterator[WorkerServices]:
    async with application(config_file, shared=True, profile=profile) as app:

        def reconfigure(_: Configuration) -> None:
            app.tasks.start_soon(app.rehearse_where_configured)

        app.store.subscribe(reconfigure)
        await app.rehearse_where_configured()
        # Responses to incidents belong to the control process that leads, which recovers them itself.
        recover = partial(app.recovery.recover_flows, lambda flow_id: not is_response(flow_id))
        stop_seconds = app.configuration.runtime.worker_stop_seconds
        drain = partial(_drain, app, profile.drain_seconds) if profile.drain_seconds else None
        yield WorkerServices(app.bus, recover, partial(_mark_stopped, app), stop_seconds, drain)


async def _drain(app: Application, seconds: float) -> None:
    """Finish what was begun, within a time; the rest is handed back."""
    await app.engine.drain()
    with anyio.move_on_after(seconds):
        while app.engine.busy:
            await app.clock.sleep(_DRAIN_POLL_SECONDS)


async def _mark_stopped(app: Application, run_ids: Iterable[str]) -> None:
    # A run that another process has taken over is not stopped, whatever happens to this worker.
    own = [run_id for run_id in run_ids if not await app.placement.is_elsewhere(run_id)]
    await app.launcher.stop(own, "its worker was stopped; the next one goes on with it", RunHold.WORKER_STOPPED)

"""Dry runs of playbooks, beside a control process or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread

from orchestration.app.application import Application
from orchestration.app.incidents import IncidentResponse
from orchestration.app.maintenance import ProjectMaintenance
from orchestration.app.playbooks import PLAYBOOKS, handles_of
from orchestration.errors import ConflictError
from orchestration.playbooks import plan
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.execution import StepExecutor
from orchestration.playbooks.incident_updates import facts_of
from orchestration.playbooks.plan import PlaybookPlan
from orchestration.storage.leases import Leases
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.workflows.processes import control_processes


async def preview(app: Application, name: str, incident: str | None = None) -> PlaybookPlan:
    """What a playbook would do on an incident, or without one on all that there is. Raises NotFoundError."""
    incidents = IncidentResponse(app, lambda: False)
    upkeep = ProjectMaintenance(app, incidents.outbox).upkeep
    playbook = (await anyio.to_thread.run_sync(PlaybookCatalogue, app.root / PLAYBOOKS)).get(name).playbook
    # Handles of its own and no `PlaybookResponse`: that would take the place of the one of the process that serves.
    handles = handles_of(app, incidents, FleetFromOutside(app.leases), upkeep)
    executor = StepExecutor(handles, PlaybookRecords(app.database))
    if incident is None:
        return await plan.plan(executor, playbook, plan.imagined(playbook, app.configuration))
    found = await anyio.to_thread.run_sync(app.incident_service.records.find, incident)
    return await plan.plan(executor, playbook, facts_of(found, app.configuration), incident=found.id)


class FleetFromOutside:
    """The workers of whatever control process serves, as their leases tell. They can be seen and not replaced."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    def workers(self) -> Sequence[Mapping[str, Any]]:
        """One record for each worker that has a process."""
        return [
            {
                "worker": str(worker["number"]),
                "pid": worker["pid"],
                "doing": worker["doing"],
                "memory_bytes": worker["memoryMb"] * 1_048_576,
                "healthy": worker["state"] in ("starts", "works"),
            }
            for control in control_processes(self._leases)
            for worker in control["workers"]
            if worker["pid"] is not None
        ]

    def wanted(self) -> int:
        """How many workers there should be."""
        return sum(len(control["workers"]) for control in control_processes(self._leases))

    async def replace(self, worker: str, reason: str) -> None:  # noqa: ARG002
        """Nothing of this process. Raises ConflictError."""
        raise ConflictError("expected the control process to replace its own worker, got another process")

"""Dry runs of playbooks, beside a control process or without one."""

from __future__ import annotations

import anyio.to_thread

from orchestration.app.application import Application
from orchestration.app.playbooks import services_beside_control
from orchestration.app.reviews import PLAYBOOKS
from orchestration.playbooks import plan
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.execution import StepExecutor
from orchestration.playbooks.incident_updates import facts_of
from orchestration.playbooks.plan import PlaybookPlan
from orchestration.storage.playbooks import PlaybookRecords


async def preview(app: Application, name: str, incident: str | None = None) -> PlaybookPlan:
    """What a playbook would do for an incident, or without one for the whole configuration. Raises NotFoundError."""
    playbook = (await anyio.to_thread.run_sync(PlaybookCatalogue, app.root / PLAYBOOKS)).get(name).playbook
    executor = StepExecutor(services_beside_control(app), PlaybookRecords(app.database))
    if incident is None:
        return await plan.plan(executor, playbook, plan.imagined(playbook, app.configuration))
    found = await anyio.to_thread.run_sync(app.incident_service.records.find, incident)
    return await plan.plan(executor, playbook, facts_of(found, app.configuration), incident=found.id)

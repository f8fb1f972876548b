"""Starts a response for every incident, also after a restart; and ends reroutes when the provider works again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import ActionState
from orchestration.errors import OrchestratorError
from orchestration.events import Event
from orchestration.events.playbooks import ActionReturned
from orchestration.incidents.model import Incident
from orchestration.logs import get_logger
from orchestration.playbooks.actions import ActionContext
from orchestration.playbooks.actions.override_effects import key_of
from orchestration.playbooks.actions.registry import complete
from orchestration.playbooks.ids import response_id
from orchestration.playbooks.ports import ActionServices
from orchestration.playbooks.runner import RESPONSE
from orchestration.playbooks.step_results import ResponseRequest
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.workflows.engine import Engine

_SWEEP_SECONDS = 5.0
_MOST_OPEN = 1000
_BEGINS = frozenset({"incident.detected", "incident.reopened"})
_WANTS_ONE = frozenset({IncidentStatus.DETECTED, IncidentStatus.REOPENED, IncidentStatus.ACKNOWLEDGED})
_log = get_logger(__name__)


class Responder:
    """Only the leading control process runs one."""

    def __init__(self, services: ActionServices, records: PlaybookRecords, engine: Engine) -> None:
        self._services = services
        self._records = records
        self._engine = engine
        self._wake = anyio.Event()

    def take(self, event: Event) -> None:
        """Hear of an incident at once; a subscriber of the bus, on the event loop's thread."""
        if event.kind in _BEGINS or event.kind == "route.closed":
            self._wake.set()

    async def run(self) -> None:
        """Respond until cancelled. What an event did not bring is found by looking now and then."""
        while True:
            with anyio.move_on_after(_SWEEP_SECONDS):
                await self._wake.wait()
            self._wake = anyio.Event()
            try:
                await self._start_missing()
                await self.take_routes_back()
            except OrchestratorError as error:
                _log.error("responses.failed", message=str(error))
            except SQLAlchemyError as error:  # without the database nothing can be begun; the next round finds it
                _log.error("responses.failed", message=type(error).__name__)

    async def _start_missing(self) -> None:
        for incident in await anyio.to_thread.run_sync(self._open):
            if incident.status in _WANTS_ONE:
                # One for each time that it was detected: the clock's number counts the reopenings.
                await self._engine.start(
                    RESPONSE, response_id(incident.id, incident.clock.number), ResponseRequest(incident.id)
                )

    def _open(self) -> list[Incident]:
        rows = self._services.incidents.table.list(is_open=True, limit=_MOST_OPEN)
        return [self._services.incidents.get(row.id) for row in rows]

    async def take_routes_back(self) -> None:
        """End the reroutes past providers that answer again: the preferred order is the user's."""
        answering = {name for name, standing in self._services.provider_health().items() if standing.up}
        for override in self._services.store.overrides:
            if override.change.kind != "route_to":
                continue
            key = key_of(override.reason)
            action = await anyio.to_thread.run_sync(self._records.find_action, key)
            if action is None or action.state is not ActionState.DONE or action.undo is None:
                continue
            if set(action.undo.get("avoids", ())) <= answering:
                await self._take_back(action.action, action.incident_id, key, action.undo)

    async def _take_back(self, name: str, incident_id: str, key: str, undo: Mapping[str, Any]) -> None:
        reason = f"{incident_id}: the provider answers again"
        context = ActionContext(incident_id, key, "playbook:return", reason, self._services.clock.now())
        summary = await complete()[name](self._services).undo(context, undo)
        self._services.bus.publish(ActionReturned(incident=incident_id, message=summary), actor="playbook:return")

"""Starts a response for every incident, also after a restart; takes workarounds back once they are not needed any more,
and ends the duties that are seen to be done."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import anyio
import anyio.abc
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.config.overrides import LimitProvider, RouteTo
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.errors import OrchestratorError
from orchestration.events import Event
from orchestration.events.incidents import (
    IncidentCauseAdded,
    IncidentDetected,
    IncidentOptionRequested,
    IncidentReopened,
)
from orchestration.events.playbooks import ActionUndone
from orchestration.events.providers import RouteClosed
from orchestration.incidents.commands.duties import CompleteDuty
from orchestration.incidents.commands.manual_escalation import EscalateUnlessAcknowledged
from orchestration.incidents.commands.response import EndResponse
from orchestration.incidents.model import Actor, Incident, IncidentRefusedError
from orchestration.logs import RepeatedFailure, get_logger
from orchestration.playbooks.actions import ActionContext
from orchestration.playbooks.actions.providers import RerouteUndo
from orchestration.playbooks.actions.registry import find_action
from orchestration.playbooks.duty_proofs import proof_of
from orchestration.playbooks.ids import response_id
from orchestration.playbooks.ports import ActionServices
from orchestration.playbooks.runner import RESPONSE
from orchestration.playbooks.step_results import ResponseRequest
from orchestration.storage.playbooks import ActionRun, PlaybookRecords
from orchestration.workflows.engine import Engine, FlowState

# The bus is local to a process: what another process has declared is found by this sweep.
_SWEEP_SECONDS = 5.0
_MOST_OPEN = 1000
_WAKES = (IncidentDetected, IncidentReopened, IncidentCauseAdded, IncidentOptionRequested, RouteClosed)
# An acknowledged incident too: the response may have died between its acknowledgement and its first step. Starting a
# response that exists changes nothing.
_NEEDS_RESPONSE = frozenset({IncidentStatus.DETECTED, IncidentStatus.REOPENED, IncidentStatus.ACKNOWLEDGED})
_UNDER_RESPONSE = frozenset({IncidentStatus.MITIGATING, IncidentStatus.VERIFYING, IncidentStatus.MITIGATED})
_BROKEN = frozenset({FlowState.FAILED, FlowState.CRASHED})
_BROKE_OFF = "its response broke off by a fault of its own, which the log names; a person has to go on"
_NEXT_LEVEL = 2
_ACTOR = "playbook:return"
_RESPONSES = Actor("responses")
_OBSERVER = Actor("duties")
_log = get_logger(__name__)


class Responder:
    """Starts responses. Only the leading control process runs one."""

    def __init__(self, services: ActionServices, records: PlaybookRecords, engine: Engine) -> None:
        self._services = services
        self._records = records
        self._engine = engine
        self._wake = anyio.Event()

    def on_event(self, event: Event) -> None:
        """Wake up for an incident; a subscriber of the bus, on the event loop's thread."""
        if isinstance(event.payload, _WAKES):
            self._wake.set()

    async def run(self) -> None:
        """Respond until cancelled."""
        failure = RepeatedFailure(_log.error, "responses.failed")
        while True:
            with anyio.move_on_after(_SWEEP_SECONDS):
                await self._wake.wait()
            # Replaced before the sweep: an event that arrives during it causes another one.
            self._wake = anyio.Event()
            with failure.tolerated(OrchestratorError, SQLAlchemyError):  # the next sweep finds what this one missed
                incidents = await anyio.to_thread.run_sync(self._open_incidents)
                await self._start_missing(incidents)
                await self._give_up_broken(incidents)
                await self.end_workarounds(incidents)
                await anyio.to_thread.run_sync(self._end_duties, incidents)

    async def _start_missing(self, incidents: Sequence[Incident]) -> None:
        for incident in incidents:
            # A further one is due whatever the earlier one has come to: the problem returned, has another cause, or a
            # person has asked for an option.
            if incident.status in _NEEDS_RESPONSE or (incident.responses and incident.status in _UNDER_RESPONSE):
                # One response per detection: the number of the SLA clock counts how often the incident was reopened.
                name = response_id(incident.id, incident.clock.number, incident.responses)
                await self._engine.start(RESPONSE, name, ResponseRequest(incident.id))

    async def _give_up_broken(self, incidents: Sequence[Incident]) -> None:
        """Hand over what a response has left that ended by a fault of its own: nothing else would go on with it."""
        at_work = {one.active_response: one for one in incidents if one.active_response}
        for run_id, state in (await self._engine.states(list(at_work))).items():
            if state in _BROKEN:
                await anyio.to_thread.run_sync(self._hand_over, at_work[run_id], run_id)

    def _hand_over(self, incident: Incident, run_id: str) -> None:
        service, now = self._services.incident_service, self._services.clock.now()
        self._records.update_run(run_id, state=PlaybookRunState.FAILED, summary=_BROKE_OFF, finished_at=now)
        # The end of the response last: what is done here is repeated until then.
        for command in (EscalateUnlessAcknowledged(_NEXT_LEVEL, _BROKE_OFF), EndResponse(run_id)):
            with contextlib.suppress(IncidentRefusedError):
                service.execute(incident.id, _RESPONSES, command)

    def _open_incidents(self) -> list[Incident]:
        rows = self._services.incidents.table.list(is_open=True, limit=_MOST_OPEN)
        return [self._services.incidents.get(row.id) for row in rows]

    async def end_workarounds(self, incidents: Sequence[Incident]) -> None:
        """End what responses put in force for as long as a problem lasts: the preferred settings are the user's."""
        # Not known yet (None) is not enough: before the first probe nobody can tell whether it answers.
        answering = {name for name, health in self._services.provider_health().items() if health.up}
        firing = {incident.id for incident in incidents if incident.cleared_at is None}
        for override in self._services.store.overrides:
            # What a person has put in force is theirs to end.
            if override.origin is None or not isinstance(override.change, RouteTo | LimitProvider):
                continue
            action = await anyio.to_thread.run_sync(self._records.find_action, override.origin.action_key)
            if action is not None and _is_over(action, answering, firing):
                await self._undo(action)

    def _end_duties(self, incidents: Sequence[Incident]) -> None:
        for incident, duty in ((one, duty) for one in incidents for duty in one.open_duties):
            evidence = proof_of(self._services, duty)
            if evidence:
                # A person may have ended it, or the incident, since it was read.
                with contextlib.suppress(IncidentRefusedError):
                    command = CompleteDuty(duty.number, evidence)
                    self._services.incident_service.execute(incident.id, _OBSERVER, command)

    async def _undo(self, action: ActionRun) -> None:
        reason = f"{action.incident_id}: it is not needed any more"
        context = ActionContext(action.incident_id, action.key, _ACTOR, reason, self._services.clock.now())
        summary = await find_action(action.action)(self._services).undo(context, action.undo or {})
        self._services.bus.publish(ActionUndone(incident=action.incident_id, message=summary), actor=_ACTOR)


def _is_over(action: ActionRun, answering: set[str], firing: set[str]) -> bool:
    """Whether the cause of a workaround is gone: the provider answers again, or nothing of its incident fires."""
    if action.state is not ActionState.DONE or not action.undo:
        return False
    if "avoids" in action.undo:
        reroute = RerouteUndo.model_validate(action.undo)
        return not reroute.person and set(reroute.avoids) <= answering
    return action.incident_id not in firing

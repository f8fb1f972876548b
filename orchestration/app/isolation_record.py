"""What follows from a change of the isolation: people are notified, and its incident has it on its timeline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from orchestration.config.store import AUTOMATION
from orchestration.domain.duty import DutyKind, DutyOwner, DutyRequest
from orchestration.errors import OrchestratorError
from orchestration.events import Event
from orchestration.events.security import IsolationLifted, IsolationStarted
from orchestration.incidents.commands.mitigation import RecordAction
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.model import Actor, person
from orchestration.incidents.service import IncidentService
from orchestration.logs import get_logger

_log = get_logger(__name__)


class IsolationRecorder:
    """Notifies people of each change of the isolation, and notes it on the incident that it was done for.

    It hears of the change on the bus, so that no way of changing the isolation can go around it.
    """

    def __init__(self, notify: Callable[[str, str, str], None], incidents: IncidentService) -> None:
        self._notify = notify
        self._incidents = incidents

    def on_event(self, event: Event) -> None:
        """Record a change; a subscriber of the bus."""
        match event.payload:
            case IsolationStarted(reason=reason, override=override, incident=incident):
                self._record(event.actor, f"The system was isolated by {event.actor}", reason, override, incident)
                if incident is not None:
                    self._open_duty(event.actor, override, incident)
            case IsolationLifted(reason=reason, override=override, incident=incident):
                title = f"The isolation of the system was lifted by {event.actor}"
                self._record(event.actor, title, reason, f"{override}-lifted", incident)

    def _open_duty(self, actor: str, override: str, incident: str) -> None:
        duty = DutyRequest(DutyKind.LIFT_ISOLATION, override, "lift the isolation", DutyOwner.ADMIN)
        # Refused for an incident that is over; and the action of a playbook has opened the same duty already.
        with contextlib.suppress(OrchestratorError, SQLAlchemyError):
            self._incidents.execute(incident, _actor(actor), RecordAction((duty,)))

    def _record(self, actor: str, title: str, reason: str, name: str, incident: str | None) -> None:
        try:
            self._notify(name, title, f"Reason: {reason}")
            if incident is not None:
                self._incidents.execute(incident, _actor(actor), AddNote(f"{title}: {reason}"))
        # The change itself is in force, and must not look as if it had failed.
        except (OrchestratorError, SQLAlchemyError) as error:
            _log.error("isolation.unrecorded", change=title, error=type(error).__name__)


def _actor(name: str) -> Actor:
    return Actor(name) if name.startswith(AUTOMATION) else person(name)

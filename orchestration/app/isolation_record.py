"""What follows from a change of the isolation: people are notified, and its incident has it on its timeline."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from orchestration.config.store import AUTOMATION
from orchestration.domain.duty import DutyKind, DutyOwner, DutyRequest
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import OrchestratorError
from orchestration.events import Event
from orchestration.events.security import IsolationLifted, IsolationStarted
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.duties import CompleteDuty
from orchestration.incidents.commands.mitigation import RecordAction
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.model import Actor, person
from orchestration.incidents.report import Facts, TroubleReport
from orchestration.incidents.service import IncidentService
from orchestration.logs import get_logger

_log = get_logger(__name__)


class IsolationRecorder:
    """Notifies people of each change of the isolation, and notes it on the incident that it was done for; without one,
    or with one that is over, the isolation gets an incident of its own.

    It hears of the change on the bus, so that no way of changing the isolation can go around it.
    """

    def __init__(self, notify: Callable[[str, str, str], None], incidents: IncidentService) -> None:
        self._notify = notify
        self._incidents = incidents

    def on_event(self, event: Event) -> None:
        """Record a change; a subscriber of the bus."""
        match event.payload:
            case IsolationStarted(reason=reason, override=override, incident=incident):
                title = f"The system was isolated by {event.actor}"
                self._record(event.actor, title, reason, override, incident)
                if incident is None or not self._open_duty(event.actor, override, incident):
                    self._guarded(title, partial(self._declare, event, title, reason, override))
            case IsolationLifted(reason=reason, override=override, incident=incident):
                title = f"The isolation of the system was lifted by {event.actor}"
                self._record(event.actor, title, reason, f"{override}-lifted", incident)
                self._guarded(title, partial(self._conclude, event, f"{title}: {reason}", override))

    def _open_duty(self, actor: str, override: str, incident: str) -> bool:
        """Make the lifting a duty of the incident; False for one that is over."""
        try:
            self._incidents.execute(incident, _actor(actor), RecordAction((_lifting(override),)))
        except (OrchestratorError, SQLAlchemyError):
            return False
        return True

    def _declare(self, event: Event, title: str, reason: str, override: str) -> None:
        """Open an incident of the isolation's own, which lasts as long as it does. Who has isolated the system knows of
        it, so that nobody else is paged for an answer."""
        report = TroubleReport(
            key=_key(override),
            scenario=Scenario.SECURITY_ALERT,
            title=title,
            summary=f"{reason} (no run starts or is resumed, agents have no tools, clients get no model calls)",
            # Everybody's work stands still, but because somebody wants that.
            facts=Facts(declared=Severity.P1),
            at=event.at,
            started_at=event.at,
            duties=(_lifting(override),),
        )
        opened = self._incidents.open_or_join(report)
        actor = _actor(event.actor)
        if actor.human:
            self._incidents.execute(opened.id, actor, Acknowledge())

    def _conclude(self, event: Event, evidence: str, override: str) -> None:
        """End the duty of the isolation's own incident, if it has one, at once; those of others are ended by what looks
        after all duties."""
        own = self._incidents.mark_cleared(_key(override), event.at)
        if own is None:
            return
        for duty in own.open_duties:
            if (duty.kind, duty.subject) == (DutyKind.LIFT_ISOLATION, override):
                self._incidents.execute(own.id, _actor(event.actor), CompleteDuty(duty.number, evidence))

    def _record(self, actor: str, title: str, reason: str, name: str, incident: str | None) -> None:
        def record() -> None:
            self._notify(name, title, f"Reason: {reason}")
            if incident is not None:
                self._incidents.execute(incident, _actor(actor), AddNote(f"{title}: {reason}"))

        self._guarded(title, record)

    def _guarded(self, title: str, record: Callable[[], None]) -> None:
        # The change itself is in force, and must not look as if it had failed.
        try:
            record()
        except (OrchestratorError, SQLAlchemyError) as error:
            _log.error("isolation.unrecorded", change=title, error=type(error).__name__)


def _key(override: str) -> str:
    return f"isolation/{override}"


def _lifting(override: str) -> DutyRequest:
    return DutyRequest(DutyKind.LIFT_ISOLATION, override, "lift the isolation", DutyOwner.ADMIN)


def _actor(name: str) -> Actor:
    return Actor(name) if name.startswith(AUTOMATION) else person(name)

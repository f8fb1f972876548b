"""Ends the duty to rotate a credential once its vendor refuses the exposed value; the leader probes until then."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.domain.duty import Duty, DutyKind
from orchestration.errors import OrchestratorError
from orchestration.events import Event
from orchestration.events.configuration import CredentialsChanged
from orchestration.events.incidents import IncidentDutyOpened
from orchestration.events.playbooks import ActionFinished
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.commands.duties import CompleteDuty
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.model import Actor, Incident, IncidentRefusedError
from orchestration.logs import RepeatedFailure, get_logger
from orchestration.playbooks.actions.exposed_values import remember, remembered_values
from orchestration.playbooks.credential_probes import probe_exposed
from orchestration.playbooks.ports import ActionServices
from orchestration.playbooks.rotation_proofs import RotationWatch, combined
from orchestration.security.exposed_credentials import ExposedCredential, ExposedValue
from orchestration.security.vendors.vendor import CredentialProbe, CredentialStatus

_SWEEP_SECONDS = 1.0
# With no duty to be watched; one that this process opens is seen at once.
_RESTING_SECONDS = 10.0
_MOST_OPEN = 1000
_OBSERVER = Actor("duties")
_GONE = (
    "its value is neither in .env nor in a file any more, so it cannot be probed; "
    "revoke it at the vendor, and end the duty with a reason"
)
_UNRECORDED = "the value was not recorded when it was found, so it cannot be probed; only a person can end this duty"
_log = get_logger(__name__)


class CredentialWatch:
    """Probes exposed values with growing intervals. It keeps what it has learned in memory: after a restart, it begins
    anew."""

    def __init__(self, services: ActionServices) -> None:
        self._services = services
        self._watches: dict[tuple[str, int], RotationWatch] = {}
        self._has_news = True
        self._swept_at = 0.0

    def on_event(self, event: Event) -> None:
        """Probe at once when something may have changed; a subscriber of the bus."""
        match event.payload:
            case IncidentDutyOpened():
                self._has_news = True
            case ActionFinished(action="security.rotate") | CredentialsChanged():
                self._watches = {key: replace(one, due_at=0.0, attempts=0) for key, one in self._watches.items()}
            case _:
                return

    async def run(self) -> None:
        """Watch until cancelled."""
        failure = RepeatedFailure(_log.error, "credentials.watch_failed")
        while True:
            if self._is_due():
                with failure.tolerated(OrchestratorError, SQLAlchemyError):  # the next sweep goes on
                    await self.sweep()
            await self._services.clock.sleep(_SWEEP_SECONDS)

    async def sweep(self) -> None:
        """One round over all duties that are due."""
        self._has_news, self._swept_at = False, self._services.clock.monotonic()
        incidents = await anyio.to_thread.run_sync(self._open_incidents)
        duties = [(incident, duty) for incident in incidents for duty in _rotations(incident)]
        known = {(incident.id, duty.number) for incident, duty in duties}
        self._watches = {key: one for key, one in self._watches.items() if key in known}
        for incident, duty in duties:
            key = (incident.id, duty.number)
            watch = self._watches.get(key, RotationWatch())
            if watch.due_at <= self._services.clock.monotonic():
                self._watches[key] = await self._probe(incident, duty, watch)

    def _is_due(self) -> bool:
        passed = self._services.clock.monotonic() - self._swept_at
        return bool(self._has_news or self._watches or passed >= _RESTING_SECONDS)

    def _open_incidents(self) -> list[Incident]:
        rows = self._services.incidents.table.list(is_open=True, limit=_MOST_OPEN)
        return [self._services.incidents.get(row.id) for row in rows]

    async def _probe(self, incident: Incident, duty: Duty, watch: RotationWatch) -> RotationWatch:
        found = await anyio.to_thread.run_sync(self._values, incident.id, duty, watch)
        probe = await self._asked(found)
        now = self._services.clock.now()
        interval = self._services.configuration().monitoring.credential_probe_seconds
        watch = watch.after(probe, interval, self._services.clock.monotonic(), now)
        text = f"duty {duty.number}, the exposed value is {probe.status.value}: {probe.evidence}"
        if watch.is_proven:
            since = f"{watch.first_refused_at or now:%Y-%m-%d %H:%M:%S} UTC"
            await self._execute(incident.id, CompleteDuty(duty.number, f"refused since {since}: {probe.evidence}"))
        elif text != watch.told:
            await self._tell(incident.id, text, watch.told)
        return replace(watch, told=text)

    async def _asked(self, found: dict[ExposedCredential, ExposedValue | None]) -> CredentialProbe:
        if not found:
            return CredentialProbe(CredentialStatus.UNKNOWN, _UNRECORDED)
        probes = []
        for credential, value in found.items():
            if value is None:
                probes.append(CredentialProbe(CredentialStatus.UNKNOWN, f"{credential.subject}: {_GONE}"))
                continue
            services = self._services
            probe = await probe_exposed(value, services.configuration(), services.vendors, services.clock.now())
            probes.append(replace(probe, evidence=f"{credential.subject}: {probe.evidence}"))
        return combined(probes)

    def _values(
        self, incident_id: str, duty: Duty, watch: RotationWatch
    ) -> dict[ExposedCredential, ExposedValue | None]:
        """The credentials that a duty is about. Blocks."""
        if watch == RotationWatch():
            # Here as well, for an incident whose playbook has no step that does it.
            remember(self._services, incident_id)
        return remembered_values(self._services, self._services.exposed_credentials.about(duty.subject, incident_id))

    async def _tell(self, incident_id: str, text: str, before: str) -> None:
        """Put a changed answer on the timeline, unless it is there from before a restart."""
        entries = await anyio.to_thread.run_sync(self._services.incidents.entries, incident_id)
        if before or not any(entry.data.get("text") == text for entry in entries):
            await self._execute(incident_id, AddNote(text))

    async def _execute(self, incident_id: str, command: IncidentCommand) -> None:
        # A person may have ended the duty, or the incident, since it was read.
        with contextlib.suppress(IncidentRefusedError):
            await anyio.to_thread.run_sync(self._services.incident_service.execute, incident_id, _OBSERVER, command)


def _rotations(incident: Incident) -> Sequence[Duty]:
    return [duty for duty in incident.open_duties if duty.kind is DutyKind.ROTATE_CREDENTIAL]

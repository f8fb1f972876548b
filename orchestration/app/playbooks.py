"""The playbooks of a control process: everything that actions reach, and the response to each incident."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio

from orchestration.app.application import Application
from orchestration.app.incidents import IncidentResponse
from orchestration.app.leadership import Leadership
from orchestration.app.live_credentials import EvenRevokedCredentials
from orchestration.app.live_reviews import LiveReviews
from orchestration.app.maintenance import ProjectMaintenance
from orchestration.app.review_files import REVIEWS, ReviewFiles
from orchestration.app.reviews import PLAYBOOKS
from orchestration.monitoring.health.diagnosis import IncidentDiagnosis
from orchestration.playbooks.approvals import ApprovalRequests
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.credential_watch import CredentialWatch
from orchestration.playbooks.execution import StepExecutor
from orchestration.playbooks.ids import is_response
from orchestration.playbooks.incident_updates import IncidentUpdates
from orchestration.playbooks.ports import ActionServices, BackupPort, Fleet
from orchestration.playbooks.responder import Responder
from orchestration.playbooks.runner import RESPONSE, PlaybookRunner
from orchestration.security.exposed_credentials import FILE as EXPOSED_FILE
from orchestration.security.exposed_credentials import ExposedCredentials
from orchestration.security.vendors.registry import VendorRegistry
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.workers.fleet import LeasedFleet, SupervisedFleet
from orchestration.workers.supervisor import Supervisor


class PlaybookResponse:
    """Carries playbooks out while this process leads. Run it with `run`."""

    def __init__(
        self,
        app: Application,
        incidents: IncidentResponse,
        supervisor: Supervisor,
        upkeep: BackupPort | None,
        leadership: Leadership,
    ) -> None:
        self._app = app
        self._leadership = leadership
        self.records = PlaybookRecords(app.database)
        fleet = SupervisedFleet(supervisor, incidents.monitoring.workers.silent)
        self.services = action_services(app, incidents, fleet, upkeep)
        self.executor = StepExecutor(self.services, self.records)
        updates = IncidentUpdates(
            app.incident_service, app.incident_service.records, self.records, self.catalogue, app.effective, app.clock
        )
        approvals = ApprovalRequests(app.approvals, updates, app.bus, app.clock)
        app.engine.register(RESPONSE, PlaybookRunner(self.executor, updates, approvals).body)
        self._responder = Responder(self.services, self.records, app.engine)
        self._credentials = CredentialWatch(self.services)
        files = ReviewFiles(app.reviews, app.incident_service.records, app.state_folder / REVIEWS)
        self._live_reviews = LiveReviews(files, app.incident_service.records, app.clock)

    def catalogue(self) -> PlaybookCatalogue:
        """The playbooks, read anew: the user may have edited them."""
        return PlaybookCatalogue(self._app.root / PLAYBOOKS)

    async def run(self) -> None:
        """Respond whenever this process leads, until cancelled."""
        await self._leadership.while_held(self._responding)

    @contextlib.asynccontextmanager
    async def _responding(self) -> AsyncIterator[None]:
        # Before the tasks start: an incident that is reported while they do must not be missed.
        subscribers = (self._responder.on_event, self._credentials.on_event, self._live_reviews.on_event)
        subscriptions = [self._app.bus.subscribe(subscriber) for subscriber in subscribers]
        try:
            async with anyio.create_task_group() as group:
                # Workers leave responses alone: only the leader may act on an incident.
                group.start_soon(self._app.recovery.recover_flows, is_response)
                group.start_soon(self._responder.run)
                group.start_soon(self._credentials.run)
                group.start_soon(self._live_reviews.run)
                yield
                group.cancel_scope.cancel()
        finally:
            # A handler that stays behind would respond beside the next leader.
            for unsubscribe in subscriptions:
                unsubscribe()


def services_beside_control(app: Application) -> ActionServices:
    """What actions reach where no control process is at hand: for what a person asks of them in between."""
    # Not a `PlaybookResponse`: that would register its flow with the engine, in place of the serving process's own.
    incidents = IncidentResponse(app, Leadership())
    upkeep = ProjectMaintenance(app, incidents.outbox).upkeep
    return action_services(app, incidents, LeasedFleet(app.leases), upkeep)


def action_services(
    app: Application, incidents: IncidentResponse, fleet: Fleet, upkeep: BackupPort | None
) -> ActionServices:
    """Everything that actions reach in a project."""
    return ActionServices(
        root=app.root,
        state_folder=app.state_folder,
        log_folder=app.log_folder,
        clock=app.clock,
        bus=app.bus,
        redactor=app.redactor,
        database=app.database,
        configuration=app.effective,
        store=app.store,
        incident_service=app.incident_service,
        incidents=app.incident_service.records,
        diagnosis=IncidentDiagnosis(app.database, app.log_folder),
        resources=incidents.monitoring.resources,
        provider_health=incidents.monitoring.providers.standings,
        runs=app.runs,
        timeline=app.timeline,
        artifacts=app.artifacts,
        control=app.control,
        gateway=app.gateway,
        fleet=fleet,
        backups=upkeep,
        approvals=app.approvals,
        outbox=incidents.outbox,
        reviews=ReviewFiles(app.reviews, app.incident_service.records, app.state_folder / REVIEWS),
        journal=incidents.journal,
        vendors=VendorRegistry(app.effective, EvenRevokedCredentials(app.store), app.clock),
        exposed_credentials=ExposedCredentials(app.state_folder / EXPOSED_FILE),
    )

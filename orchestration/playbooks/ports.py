"""The services that actions may use of the rest of the system, never its internals. The application provides them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.config.store import ConfigurationStore
from orchestration.events import EventBus
from orchestration.incidents.records import IncidentRecords
from orchestration.incidents.service import IncidentService
from orchestration.monitoring.collectors.resources import ResourceCollector
from orchestration.monitoring.health.diagnosis import IncidentDiagnosis
from orchestration.monitoring.health.provider_health import ProviderHealth
from orchestration.providers.gateway import Gateway
from orchestration.security.exposed_credentials import ExposedCredentials
from orchestration.security.redaction import Redactor
from orchestration.security.vendors.registry import VendorRegistry
from orchestration.storage.approvals import ApprovalTable
from orchestration.storage.database import Database
from orchestration.storage.outbox import Outbox
from orchestration.storage.runs import Runs
from orchestration.storage.timeline import Timeline
from orchestration.workflows.artifacts import ArtifactStore
from orchestration.workflows.run_control import RunControl


class Fleet(Protocol):
    """The worker processes, as their supervisor knows them."""

    def workers(self) -> Sequence[Mapping[str, Any]]:
        """One record for each worker: `worker`, `pid`, `runs`, `memory_bytes`, `healthy`."""
        ...

    def wanted(self) -> int:
        """How many workers there should be."""
        ...

    async def replace(self, worker: str, reason: str) -> None:
        """Kill a worker with its process group; another takes its place, and its runs go on from their checkpoints."""
        ...


class BackupPort(Protocol):
    """Backups, which a layer above manages: playbooks may not import it. Every method may raise OrchestratorError."""

    async def integrity(self) -> Mapping[str, Any]:
        """Check the database and the chain of the audit log: `intact`, `problems`, and `audit_checked`, true where the
        chain was checked too."""
        ...

    async def rehearse_restore(self) -> Mapping[str, Any]:
        """Restore the newest backup into a scratch database: `restored`, `backup`, `seconds`, `problems`."""
        ...

    async def back_up(self) -> Mapping[str, Any]:
        """Make a backup and check it: `backup`, `made_at`, `bytes`, `rows`, `version`, `seconds`. Raises
        OrchestratorError when that fails."""
        ...

    async def backups(self) -> Sequence[Mapping[str, Any]]:
        """The good backups, newest first: as `back_up` returns them, and `age_seconds`."""
        ...


class Journalled(Protocol):
    """The reports that were journalled while the database could not be written."""

    @property
    def waiting(self) -> bool:
        """Whether reports wait to be replayed."""
        ...

    def replay(self) -> int:
        """Replay them; returns how many there were. Blocks. Raises what the database raises."""
        ...


class Reviews(Protocol):
    """Drafts of post-incident reviews."""

    def draft(self, incident_id: str) -> Path:
        """Write the draft, replacing an earlier one; returns its path."""
        ...


@dataclass(frozen=True, slots=True)
class ActionServices:
    """Everything that an action may use."""

    root: Path
    state_folder: Path
    log_folder: Path
    clock: Clock
    bus: EventBus
    redactor: Redactor
    database: Database
    configuration: Callable[[], Configuration]
    store: ConfigurationStore
    incident_service: IncidentService
    incidents: IncidentRecords
    diagnosis: IncidentDiagnosis
    resources: ResourceCollector
    provider_health: Callable[[], Mapping[str, ProviderHealth]]
    runs: Runs
    timeline: Timeline
    artifacts: ArtifactStore
    control: RunControl
    gateway: Gateway
    fleet: Fleet
    backups: BackupPort | None
    approvals: ApprovalTable
    outbox: Outbox
    reviews: Reviews
    journal: Journalled
    vendors: VendorRegistry
    exposed_credentials: ExposedCredentials

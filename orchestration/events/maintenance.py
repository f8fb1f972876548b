"""Events of maintenance: jobs, backups and duties."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class MaintenanceStarted(EventPayload):
    """A maintenance job began."""

    kind: ClassVar[str] = "maintenance.started"
    template: ClassVar[str] = "{job} started"

    job: str
    # Not `run_id`, which is the event's own field and names a run of agents.
    job_run: str


@dataclass(frozen=True, slots=True)
class MaintenanceFinished(EventPayload):
    """A maintenance job succeeded."""

    kind: ClassVar[str] = "maintenance.finished"
    template: ClassVar[str] = "{job} finished: {message}"

    job: str
    job_run: str
    message: str


@dataclass(frozen=True, slots=True)
class MaintenanceFailed(EventPayload):
    """A maintenance job failed."""

    kind: ClassVar[str] = "maintenance.failed"
    template: ClassVar[str] = "{job} failed: {message}"
    level: ClassVar[int] = logging.ERROR

    job: str
    job_run: str
    message: str


@dataclass(frozen=True, slots=True)
class MaintenanceUnrecorded(EventPayload):
    """A maintenance job could not be recorded, because the database does not answer."""

    # Not an error: a job that could not be claimed is still due, and runs once the database answers.
    kind: ClassVar[str] = "maintenance.unrecorded"
    template: ClassVar[str] = "{job} could not be recorded: {message}"
    level: ClassVar[int] = logging.WARNING

    job: str
    message: str


@dataclass(frozen=True, slots=True)
class BackupCreated(EventPayload):
    """A backup was made, opened again and checked."""

    # The newest of these gives the age of the last backup, which is monitored; so retention never deletes it.
    kind: ClassVar[str] = "backup.made"
    template: ClassVar[str] = "backup {backup} made in {seconds:.1f} s"

    backup: str
    bytes: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BackupFailed(EventPayload):
    """A backup could not be made, or could not be restored in a restore test."""

    # One kind for making and for restoring on trial: a backup that cannot be restored is none.
    kind: ClassVar[str] = "backup.failed"
    template: ClassVar[str] = "backup failed: {message}"
    level: ClassVar[int] = logging.ERROR

    message: str


@dataclass(frozen=True, slots=True)
class BackupRestoreTested(EventPayload):
    """A backup was restored into a scratch database and checked."""

    kind: ClassVar[str] = "backup.rehearsed"
    template: ClassVar[str] = "backup {backup} restored on trial in {seconds:.1f} s"

    backup: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BackupRestored(EventPayload):
    """A backup replaced the database; the old one is kept at `aside`."""

    kind: ClassVar[str] = "backup.restored"
    template: ClassVar[str] = "backup {backup} restored; the old database is kept: {aside}"

    backup: str
    aside: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DutySignedOff(EventPayload):
    """A person signed a duty off."""

    kind: ClassVar[str] = "duty.signed"
    template: ClassVar[str] = "{duty} signed off"

    duty: str

"""When maintenance jobs run, where backups and reports go, and how long they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from orchestration.config.response import TimeZone
from orchestration.config.section import Section

# Minute, hour, day, month, weekday. The backup runs at night, before retention deletes anything; reports arrive when
# people start work; the restore drill has the newest backup to restore.
DEFAULT_CRONS: Mapping[str, str] = MappingProxyType(
    {
        "backup": "30 2 * * *",
        "daily-digest": "0 7 * * *",
        "retention": "30 3 * * sun",
        "weekly-report": "30 7 * * mon",
        "restore-drill": "30 4 1 * *",
        "contacts-test": "0 9 1 * *",
        "monthly-duties": "0 8 1 * *",
        "trend-report": "30 8 1 * *",
    }
)


class JobSettings(Section):
    """When a maintenance job is due: `cron`, in the time zone of the section; each job has a default."""

    enabled: bool = True
    cron: str | None = None


class BackupSettings(Section):
    """Where backups go (by default `backups` in the state directory; another disk is better), and how many are kept:
    the newest of each of that many days, weeks and months.

    `recipients` are public keys (`age1…`, or of SSH) for complete archives: `orchestrator backups archive FILE`. With
    an `archiveDirectory`, such as one on another disk, each nightly backup is followed by an archive there, which is
    kept as long as its backup."""

    directory: str | None = None
    recipients: tuple[str, ...] = ()
    archive_directory: str | None = None
    daily: Annotated[int, Field(ge=1, le=3650)] = 7
    weekly: Annotated[int, Field(ge=0, le=520)] = 5
    monthly: Annotated[int, Field(ge=0, le=120)] = 12


class MaintenanceSettings(Section):
    """Scheduled maintenance. `audience` names the recipients of reports: contacts, rotations or levels, as in the
    response; without any they go to the log. `reportsDirectory` is `reports` in the state directory by default. Beyond
    `artifactsMegabytes`, the artifacts of the oldest ended runs are deleted first."""

    enabled: bool = True
    time_zone: TimeZone = "UTC"
    audience: tuple[str, ...] = ("level-1",)
    reports_directory: str | None = None
    artifacts_megabytes: Annotated[int, Field(ge=1)] | None = None
    backups: BackupSettings = BackupSettings()
    jobs: dict[str, JobSettings] = Field(default_factory=dict)

    def cron_of(self, job: str) -> str | None:
        """When a job is due; None if it is disabled."""
        settings = self.jobs.get(job, JobSettings())
        return (settings.cron or DEFAULT_CRONS[job]) if self.enabled and settings.enabled else None

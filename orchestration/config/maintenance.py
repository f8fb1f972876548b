"""When the system looks after itself, where its backups and reports go, and how long they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from orchestration.config.response import TimeZone
from orchestration.config.section import Section

# Minute, hour, day, month, weekday: the backup before the night's end, reports when people come to work.
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
    """When a job of maintenance is due: `cron` in the time zone of the section, its own default unless given."""

    enabled: bool = True
    cron: str | None = None


class BackupSettings(Section):
    """Where backups go (`backups` in the state directory unless said; better on another disk), and how many are kept:
    the newest of each of so many days, weeks and months."""

    directory: str | None = None
    daily: Annotated[int, Field(ge=1, le=3650)] = 7
    weekly: Annotated[int, Field(ge=0, le=520)] = 5
    monthly: Annotated[int, Field(ge=0, le=120)] = 12


class MaintenanceSettings(Section):
    """What the system does by the calendar to stay well. `audience` names who gets the reports, as in the response:
    contacts, rotations, levels; without anybody they go to the log. `reportsDirectory` is `reports` in the state
    directory unless said. Beyond `artifactsMegabytes` the artifacts of the oldest runs that have ended go first."""

    enabled: bool = True
    time_zone: TimeZone = "UTC"
    audience: tuple[str, ...] = ("level-1",)
    reports_directory: str | None = None
    artifacts_megabytes: Annotated[int, Field(ge=1)] | None = None
    backups: BackupSettings = BackupSettings()
    jobs: dict[str, JobSettings] = Field(default_factory=dict)

    def cron_of(self, job: str) -> str | None:
        """When a job is due; None where it never is."""
        settings = self.jobs.get(job, JobSettings())
        return (settings.cron or DEFAULT_CRONS[job]) if self.enabled and settings.enabled else None

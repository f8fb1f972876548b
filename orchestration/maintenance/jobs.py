"""The jobs of maintenance, by the playbook's calendar: daily, weekly, monthly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

import anyio
import anyio.to_thread

from orchestration.config.maintenance import MaintenanceSettings
from orchestration.maintenance.backups import BackupError, BackupStore
from orchestration.maintenance.digest import DigestReport
from orchestration.maintenance.report_figures import FigureReports
from orchestration.maintenance.reports import MaintenanceReport, ReportWriter
from orchestration.maintenance.scheduler import JobFunction, MaintenanceJob
from orchestration.maintenance.service import BackupService
from orchestration.storage.maintenance import MaintenanceRecords

# What people do once a month and sign off, and what there is to be done.
SIGN_OFFS = MappingProxyType(
    {
        "playbook-review": "read the playbooks against the month's incidents, and bring them up to date",
        "contacts": "see that the escalation contacts are right, and that each got the test message",
        "disaster-recovery": "look at the restore drill, and restore on another machine",
    }
)


@dataclass(frozen=True, slots=True)
class JobContext:
    """What the jobs work with. `retention` needs the durable engine, which not every process has."""

    backups: BackupStore
    backup_service: BackupService
    digest: DigestReport
    figures: FigureReports
    writer: ReportWriter
    records: MaintenanceRecords
    settings: Callable[[], MaintenanceSettings]
    retention: Callable[[datetime], Awaitable[str]]


def jobs(workshop: JobContext) -> tuple[MaintenanceJob, ...]:
    """All jobs; their names are those of `config.maintenance.DEFAULT_CRONS`."""
    here = workshop
    return (
        MaintenanceJob(
            "backup", "make a backup, open it again, clear old ones away", _threaded(lambda _: _back_up(here))
        ),
        MaintenanceJob(
            "daily-digest", "the night's errors, incidents, alerts, backups, runs", _report(here, here.digest.write)
        ),
        MaintenanceJob("retention", "delete what is older than it is kept", here.retention),
        MaintenanceJob(
            "weekly-report", "incident figures, SLA, lasting alerts, audit", _report(here, here.figures.weekly)
        ),
        MaintenanceJob(
            "restore-drill", "restore the newest backup into a scratch database", _threaded(lambda _: _drill(here))
        ),
        MaintenanceJob(
            "contacts-test", "send a test message to every contact", _threaded(lambda now: _test(here, now))
        ),
        MaintenanceJob("monthly-duties", "remind of what people sign off", _threaded(lambda now: _remind(here, now))),
        MaintenanceJob("trend-report", "incident figures by month and scenario", _report(here, here.figures.trend)),
    )


def _threaded(function: Callable[[datetime], str]) -> JobFunction:
    async def work(now: datetime) -> str:
        return await anyio.to_thread.run_sync(function, now)

    return work


def _report(here: JobContext, make: Callable[[datetime], MaintenanceReport]) -> JobFunction:
    return _threaded(lambda now: str(here.writer.publish(make(now), now)))


def _back_up(here: JobContext) -> str:
    backup = here.backups.make()
    gone = here.backups.prune(here.settings().backups)
    return f"{backup.id}: {backup.bytes:,} bytes, {backup.rows:,} rows, {backup.seconds:.1f} s; {len(gone)} old deleted"


def _drill(here: JobContext) -> str:
    tried = here.backup_service.rehearse()
    if not tried.good:
        raise BackupError(f"{tried.backup} could not be restored: {'; '.join(tried.problems)}")
    return f"{tried.backup} restored and checked in {tried.seconds:.1f} s"


def _test(here: JobContext, now: datetime) -> str:
    reached = here.writer.test_contacts(now)
    return f"sent to {', '.join(reached)}"


def _remind(here: JobContext, now: datetime) -> str:
    period = f"{now.astimezone(ZoneInfo(here.settings().time_zone)):%Y-%m}"
    for duty in SIGN_OFFS:
        here.records.request_sign_off(duty, period, now)
    waiting = here.records.list_sign_offs(only_open=True)
    gist = tuple(
        f"{one.duty} ({one.period}): {SIGN_OFFS.get(one.duty, '')}; "
        f"then `orchestrator maintenance sign-off {one.duty} --note …`"
        for one in waiting
    )
    return str(here.writer.publish(MaintenanceReport("monthly-duties", "To be signed off", gist, ""), now))

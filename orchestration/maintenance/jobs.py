"""The maintenance jobs, on the playbook's calendar: daily, weekly, monthly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

import anyio
import anyio.to_thread

from orchestration.config.maintenance import MaintenanceSettings
from orchestration.maintenance.backups import Backup, BackupError, BackupStore
from orchestration.maintenance.digest import DigestReport
from orchestration.maintenance.report_figures import FigureReports
from orchestration.maintenance.reports import MaintenanceReport, ReportWriter
from orchestration.maintenance.scheduler import JobFunction, MaintenanceJob
from orchestration.maintenance.service import BackupService
from orchestration.storage.maintenance import MaintenanceRecords

# What people do once a month and sign off, each with what there is to do. The keys are stored and typed by people.
SIGN_OFFS = MappingProxyType(
    {
        "playbook-review": "read the playbooks against the month's incidents, and bring them up to date",
        "contacts": "check that the escalation contacts are right and that each received the test message",
        "disaster-recovery": "check the result of the restore drill, and restore on another machine",
    }
)


@dataclass(frozen=True, slots=True)
class JobContext:
    """The services that jobs use. `retention` needs the durable engine, which not every process has."""

    backups: BackupStore
    backup_service: BackupService
    digest: DigestReport
    figures: FigureReports
    writer: ReportWriter
    records: MaintenanceRecords
    settings: Callable[[], MaintenanceSettings]
    retention: Callable[[datetime], Awaitable[str]]
    # Writes a complete archive after a backup; returns its name, empty where none is configured.
    archive: Callable[[Backup], str] = lambda _: ""


def jobs(context: JobContext) -> tuple[MaintenanceJob, ...]:
    """All jobs; their names are those of `config.maintenance.DEFAULT_CRONS`."""
    return (
        MaintenanceJob("backup", "make a backup, verify it, delete old ones", _threaded(lambda _: _back_up(context))),
        MaintenanceJob(
            "daily-digest",
            "the night's errors, incidents, alerts, backups, runs",
            _report(context, context.digest.write),
        ),
        MaintenanceJob("retention", "delete what is older than the retention period", context.retention),
        MaintenanceJob(
            "weekly-report",
            "incident figures, SLA, old alerts, vulnerabilities",
            _report(context, context.figures.weekly),
        ),
        MaintenanceJob(
            "restore-drill", "restore the newest backup into a scratch database", _threaded(lambda _: _verify(context))
        ),
        MaintenanceJob(
            "contacts-test", "send a test message to every contact", _threaded(lambda now: _test(context, now))
        ),
        MaintenanceJob(
            "monthly-duties",
            "remind people of what they have to sign off",
            _threaded(lambda now: _remind(context, now)),
        ),
        MaintenanceJob(
            "trend-report", "incident figures by month and scenario", _report(context, context.figures.trend)
        ),
    )


# In a thread: the event loop has to go on renewing the job's lease and this process's own.
def _threaded(function: Callable[[datetime], str]) -> JobFunction:
    async def work(now: datetime) -> str:
        return await anyio.to_thread.run_sync(function, now)

    return work


def _report(context: JobContext, make: Callable[[datetime], MaintenanceReport]) -> JobFunction:
    return _threaded(lambda now: str(context.writer.publish(make(now), now)))


def _back_up(context: JobContext) -> str:
    backup = context.backups.make()
    # Only after a new backup has been verified: a failed one must not cost an old one.
    gone = context.backups.prune(context.settings().backups)
    said = f"{backup.id}: {backup.bytes:,} bytes, {backup.rows:,} rows, {backup.seconds:.1f} s; {len(gone)} old deleted"
    archived = context.archive(backup)
    return f"{said}; archived as {archived}" if archived else said


def _verify(context: JobContext) -> str:
    tried = context.backup_service.test_restore()
    if not tried.good:
        # Raised, and so recorded as a failed run of the job, which a report alone would not be.
        raise BackupError(f"{tried.backup} could not be restored: {'; '.join(tried.problems)}")
    return f"{tried.backup} restored and checked in {tried.seconds:.1f} s"


def _test(context: JobContext, now: datetime) -> str:
    reached = context.writer.test_contacts(now)
    return f"sent to {', '.join(reached)}"


def _remind(context: JobContext, now: datetime) -> str:
    # In the time zone of the settings: on the first of a month, UTC can still be in the month before.
    period = f"{now.astimezone(ZoneInfo(context.settings().time_zone)):%Y-%m}"
    for name in SIGN_OFFS:
        context.records.request_sign_off(name, period, now)
    # Those of earlier months as well: a duty stays open until a person has signed it off.
    open_sign_offs = context.records.list_sign_offs(only_open=True)
    summary = tuple(
        f"{one.duty} ({one.period}): {SIGN_OFFS.get(one.duty, '')}; "
        f"then `orchestrator maintenance sign-off {one.duty} --note …`"
        for one in open_sign_offs
    )
    return str(context.writer.publish(MaintenanceReport("monthly-duties", "To be signed off", summary, ""), now))

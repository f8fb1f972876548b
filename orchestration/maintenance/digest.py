"""The daily digest: what happened since the last one, and what is wrong now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.run_status import RunStatus
from orchestration.incidents.records import IncidentRecords
from orchestration.incidents.review import span
from orchestration.maintenance.backups import Backup, BackupStore
from orchestration.maintenance.error_groups import ErrorGroup, errors_since
from orchestration.maintenance.reports import MaintenanceReport, moment, section, table
from orchestration.storage.alerts import AlertRow, Alerts
from orchestration.storage.incidents.table import IncidentRow
from orchestration.storage.maintenance import JobOutcome, JobRun, MaintenanceRecords, SignOff
from orchestration.storage.runs import Run, Runs

NAME = "daily-digest"
# After a long time without a digest the log has been rotated anyway, and nobody reads a report on a month.
_MAX_PERIOD = timedelta(days=7)
_SHOWN = 30
# A day, and two hours for a backup that takes long: the same limit as that of the alert `backup-old`.
_OLD_BACKUP = timedelta(hours=26)


class DigestReport:
    """Collects the digest from the records. Blocks."""

    def __init__(
        self,
        log_folder: Path,
        records: MaintenanceRecords,
        incidents: IncidentRecords,
        alerts: Alerts,
        runs: Runs,
        backups: BackupStore,
    ) -> None:
        self._log_folder = log_folder
        self._records = records
        self._incidents = incidents
        self._alerts = alerts
        self._runs = runs
        self._backups = backups

    def write(self, now: datetime) -> MaintenanceReport:
        """The digest of everything since the last one, but of a week at most."""
        since = self._since(now)
        errors = errors_since(self._log_folder, since)
        open_incidents = self._incidents.table.list(is_open=True, limit=1000)
        ended = [one for one in self._incidents.table.list(since=since, limit=1000) if one.resolved_at is not None]
        alerts = self._alerts.list([AlertStatus.FIRING], limit=1000)
        found_backups = self._backups.list()
        # A run that is still going belongs to every digest until it ends.
        runs = [run for run in self._runs.list(limit=10_000) if (run.finished_at or now) >= since]
        # The digest that is being written is the newest run of its own job, and has no outcome yet.
        jobs = [run for run in self._records.list_runs(limit=1000) if run.started_at >= since and run.job != NAME]
        sign_offs = self._records.list_sign_offs(only_open=True)
        summary = (
            _error_summary(errors),
            f"incidents: {len(open_incidents)} open, {len(ended)} ended",
            f"alerts: {len(alerts)} firing",
            _backup_summary(found_backups, now),
            _run_summary(runs),
            _job_summary(jobs),
            f"to be signed off: {', '.join(f'{one.duty} {one.period}' for one in sign_offs) or 'none'}",
        )
        parts = (
            f"From {moment(since)} to {moment(now)}.\n",
            section("Errors in the log", _error_table(errors)),
            section("Open incidents", _incident_table(open_incidents, now)),
            section("Incidents that ended", _incident_table(ended, now)),
            section("Alerts that fire", _alert_table(alerts, now)),
            section("Backups", _backup_table(found_backups[:_SHOWN])),
            section("Runs that did not succeed", _run_table(runs)),
            section("Maintenance", _job_table(jobs)),
            section("To be signed off", _sign_off_table(sign_offs)),
        )
        return MaintenanceReport(NAME, "Daily digest", summary, "\n".join(parts))

    def _since(self, now: datetime) -> datetime:
        """When the last digest was started; a day ago if there was none."""
        # A digest that failed has told nobody anything, so its period is part of the next one.
        last = next(iter(self._records.list_runs(NAME, outcomes=[JobOutcome.SUCCEEDED], limit=1)), None)
        # From its start and not its end: what happened while it was written would be in neither.
        return max(now - _MAX_PERIOD, last.started_at if last else now - timedelta(days=1))


def _error_summary(errors: Sequence[ErrorGroup]) -> str:
    new = [group for group in errors if group.new]
    lines = sum(group.count for group in errors)
    return f"errors in the log: {lines} of {len(errors)} kinds, {len(new)} of them new"


def _backup_summary(backups: Sequence[Backup], now: datetime) -> str:
    if not backups:
        return "backups: NONE that is good"
    age = now - backups[0].made_at
    warning = ", TOO OLD" if age > _OLD_BACKUP else ""
    return f"backups: {len(backups)} good, the newest {span(age)} old{warning}"


def _run_summary(runs: Sequence[Run]) -> str:
    counts = Counter(run.status.value for run in runs)
    return "runs: " + (", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none")


def _job_summary(jobs: Sequence[JobRun]) -> str:
    failed = sorted({run.job for run in jobs if run.outcome in (JobOutcome.FAILED, JobOutcome.INTERRUPTED)})
    return f"maintenance: {len(jobs)} jobs done, failed: {', '.join(failed) or 'none'}"


def _error_table(errors: Sequence[ErrorGroup]) -> list[str]:
    rows = [
        ("new" if group.new else "", group.count, moment(group.first), moment(group.last), group.sample)
        for group in errors[:_SHOWN]
    ]
    return table(("new", "lines", "first", "last", "sample"), rows)


def _incident_table(incidents: Sequence[IncidentRow], now: datetime) -> list[str]:
    rows = [
        (
            one.id,
            one.severity.value,
            one.status,
            span((one.resolved_at or now) - one.detected_at),
            ("[DRILL] " if one.drill else "") + one.title,
        )
        for one in incidents[:_SHOWN]
    ]
    return table(("incident", "severity", "status", "lasted", "title"), rows)


def _alert_table(alerts: Sequence[AlertRow], now: datetime) -> list[str]:
    rows = [(one.name, span(now - one.since), one.scenario, one.muted_by or "") for one in alerts[:_SHOWN]]
    return table(("alert", "for", "scenario", "muted by"), rows)


def _backup_table(backups: Sequence[Backup]) -> list[str]:
    rows = [(one.id, moment(one.made_at), f"{one.bytes:,}", f"{one.rows:,}", f"{one.seconds:.1f} s") for one in backups]
    return table(("backup", "made", "bytes", "rows", "took"), rows)


def _run_table(runs: Sequence[Run]) -> list[str]:
    # Waiting and stopped runs are not failures, but somebody may have to act on them.
    good = (RunStatus.SUCCEEDED, RunStatus.QUEUED, RunStatus.RUNNING)
    bad = [run for run in runs if run.status not in good]
    return table(("run", "status", "reason"), [(run.id, run.status.value, run.reason) for run in bad[:_SHOWN]])


def _job_table(jobs: Sequence[JobRun]) -> list[str]:
    rows = [(run.job, run.outcome.value, moment(run.started_at), run.output) for run in jobs[:_SHOWN]]
    return table(("job", "outcome", "started", "said"), rows)


def _sign_off_table(sign_offs: Sequence[SignOff]) -> list[str]:
    return table(("duty", "of", "asked"), [(one.duty, one.period, moment(one.asked_at)) for one in sign_offs])

"""Rules about the machine and about the system itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.alerts.defaults.rule_builders import above, counted, down
from orchestration.alerts.rules import AlertRule
from orchestration.config.alerting import Aggregate, Comparison, FactKind
from orchestration.config.monitoring import Thresholds
from orchestration.domain.duty import DutyKind, DutyRequest
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity

_ITSELF = Scenario.CONTROL_PLANE
_HOUR, _DAY = 3600.0, 86_400.0


def resources(thresholds: Thresholds) -> Iterator[AlertRule]:
    """Processor and memory fluctuate, so their mean must be high for a while; free disk space does not.

    A processor that is busy is one that works, often for somebody else: a ticket, until work suffers, for which there
    are rules about late loops, slow providers and runs that take too long. Without memory or disk, work fails.
    """
    for name, limit, window, hold, facts in (
        ("cpu", thresholds.cpu_percent, 60.0, 30.0, FactKind.MINOR),
        ("memory", thresholds.memory_percent, 30.0, 10.0, FactKind.RESOURCES),
    ):
        yield AlertRule(
            f"{name}-high",
            f"{name}_percent",
            Scenario.HIGH_RESOURCE_USAGE,
            limit,
            aggregate=Aggregate.MEAN,
            comparison=Comparison.ABOVE,
            window=window,
            hold=hold,
            keep_firing=30,
            min_samples=2,
            by=("host",),
            subject="{host}",
            facts=facts,
            title={"cpu": "Processor", "memory": "Memory"}[name] + " use of {host} is high",
            summary=f"{name} use is {{value}} %, above {{threshold}} %",
        )
    yield AlertRule(
        "disk-low",
        "disk_free_percent",
        Scenario.HIGH_RESOURCE_USAGE,
        thresholds.disk_free_percent,
        comparison=Comparison.BELOW,
        keep_firing=30,
        by=("host", "path"),
        subject="{host}",
        facts=FactKind.RESOURCES,
        title="Disk of {host} is nearly full",
        summary="Only {value} % of the disk with {path} is free ({free}); the limit is {threshold} %",
    )
    yield AlertRule(
        "unresponsive",
        # A single late turn of the loop is garbage collection or a burst of work; the hold leaves only a loop that
        # stays blocked.
        "event_loop_lag_seconds",
        Scenario.HIGH_RESOURCE_USAGE,
        1.0,
        comparison=Comparison.ABOVE,
        window=60,
        hold=15,
        keep_firing=15,
        by=("process",),
        subject="{process}",
        facts=FactKind.RESOURCES,
        title="{process} responds slowly",
        summary="Its event loop is {value} s late",
    )


def control_plane() -> Iterator[AlertRule]:
    """What the system itself stands on: the watcher is watched."""
    yield down("database-down", "database_up", _ITSELF, window=120).replace(
        subject="database", facts=FactKind.DATABASE_DOWN, title="The database does not answer", summary="{detail}"
    )
    # Integrity is checked every ten minutes by default. A window shorter than that would be empty between two checks,
    # and an empty window counts as recovered.
    yield down("database-damaged", "database_intact", _ITSELF, window=_HOUR).replace(
        subject="database",
        facts=FactKind.CORRUPTION,
        title="The database is damaged",
        summary="{detail}",
        # That the database is intact again does not show what became of the rows that were damaged.
        duties=(DutyRequest(DutyKind.CHECK_DATA, "database", "check what was lost while the database was damaged"),),
    )
    yield from _workers()
    yield from _loops()
    yield from _backups()
    # The signal comes only with a message, and a quiet system may send none for hours. A failed channel must not look
    # recovered merely because nobody was paged since.
    yield down("channel-down", "channel_up", _ITSELF, window=_DAY).replace(
        hold=30,
        by=("channel",),
        subject="{channel}",
        severity=Severity.P2,
        title="The channel {channel} fails",
        summary="{detail}",
    )
    # A server says how it is only when an agent asks for it, which may be hours later.
    yield down("tool-server-down", "tool_server_up", _ITSELF, window=_DAY).replace(
        hold=20,
        by=("server",),
        subject="{server}",
        severity=Severity.P2,
        title="The tool server {server} does not work",
        summary="Agents do without its tools: {reason}",
    )
    # The sum, not the count: the collector reports repetitions of one error as a single signal with their number.
    yield counted("errors-logged", "log_errors", _ITSELF, at_least=20, window=300).replace(
        aggregate=Aggregate.SUM,
        by=("fingerprint",),
        subject="log",
        facts=FactKind.MINOR,
        title="The same error is logged over and over",
        summary="{value} times in {window} s: {sample}",
    )


def _workers() -> Iterator[AlertRule]:
    # A worker that dies is normally replaced at once, which is routine. The hold leaves the replacement time to arrive.
    yield down("worker-lost", "worker_up", _ITSELF, window=300).replace(
        hold=15,
        by=("worker",),
        cleared_by=("worker_replaced",),
        subject="{worker}",
        severity=Severity.P2,
        title="Worker {worker} is lost",
        summary="It stopped renewing its lease and was not replaced: {reason}",
    )
    yield counted("workers-crashing", "worker_replaced", _ITSELF, at_least=3, window=600).replace(
        subject="workers",
        severity=Severity.P1,
        title="Workers crash again and again",
        summary="{value} workers were replaced in {window} s",
    )


def _loops() -> Iterator[AlertRule]:
    yield above("loop-late", "loop_age_seconds", _ITSELF, 30).replace(
        hold=10,
        by=("loop",),
        subject="{loop}",
        severity=Severity.P1,
        title="The loop {loop} lags",
        summary="It is {value} s behind",
    )
    # Beside `loop-late`, for the case that nothing reports the age any more: then only its absence can be seen.
    yield above("loop-silent", "loop_age_seconds", _ITSELF, 0).replace(
        aggregate=Aggregate.ABSENT,
        window=120,
        by=("loop",),
        subject="{loop}",
        severity=Severity.P1,
        title="The loop {loop} is silent",
        summary="No sign of it for {value} s",
    )
    # The signal comes once, with the run that was late. The window decides how long the alert lasts; nothing is left to
    # be repaired then.
    yield above("schedule-late", "schedule_late_seconds", _ITSELF, 300).replace(
        window=_HOUR,
        absence_proves=True,
        by=("schedule",),
        subject="{schedule}",
        severity=Severity.P3,
        title="The schedule {schedule} started late",
        summary="It started {value} s late",
    )


def _backups() -> Iterator[AlertRule]:
    # Backups are daily by default. At 24 hours exactly, one that takes longer than the one before would be an alert.
    yield above("backup-old", "backup_age_seconds", _ITSELF, 26 * _HOUR).replace(
        window=_HOUR,
        subject="backup",
        severity=Severity.P2,
        title="The last backup is old",
        summary="The last good backup is {value} s old",
    )
    # Only a backup that succeeds shows that backups can be made again.
    yield counted("backup-failed", "backup_failed", _ITSELF, at_least=1, window=_DAY).replace(
        absence_proves=False,
        cleared_by=("backup_made",),
        subject="backup",
        severity=Severity.P2,
        title="A backup failed",
        summary="{message}",
    )

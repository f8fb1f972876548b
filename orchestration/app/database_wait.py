"""The time before a control process can open its database: it waits, and tells people after a while.

The process may be one that was killed in the middle of an outage, or run on a machine that has started before its
database server. Nobody else is there to notice: whoever gave up now would leave an outage without a page.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import anyio.to_thread
import sqlalchemy as sa

from orchestration import logs
from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.incident_reports import report_of
from orchestration.alerts.model import Alert
from orchestration.app.project_database import (
    ENGINE_FILE,
    check_database,
    database_address,
    explained,
)
from orchestration.clock import Clock
from orchestration.config.loader import ConfigLoader
from orchestration.config.source import ConfigSource
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.events import EventBus
from orchestration.ids import new_id
from orchestration.incidents import oncall
from orchestration.incidents.journal import JOURNAL_FOLDER, ReportJournal
from orchestration.incidents.report import Facts, TroubleReport
from orchestration.notifications.last_resort import LastResort
from orchestration.security.redaction import Redactor
from orchestration.storage.database import Database, StorageError
from orchestration.storage.outage import is_outage

_AGAIN_SECONDS = 1.0
# Shorter than most restarts of a server that nobody has to know of.
_TOLD_AFTER_SECONDS = 15.0
# The alert rule that fires for a database that is away while we run.
_RULE = "database-down"


async def wait_for_database(config_file: Path, clock: Clock, say: Callable[[str], None], *, drill: bool) -> None:
    """Return as soon as the database can be opened, or cannot for a reason that does not pass: opening it says which.
    `say` is told when the waiting begins. Raises UsageError without the address of a database."""
    url, begun, since = database_address(config_file, os.environ), clock.monotonic(), clock.now()
    waits = told = False
    while problem := await anyio.to_thread.run_sync(_outage, url):
        if not waits:
            waits = True
            say(f"{problem}; waiting for it")
        if not told and clock.monotonic() - begun >= _TOLD_AFTER_SECONDS:
            told = True
            report = _report(problem, since, clock.now(), drill=drill)
            await anyio.to_thread.run_sync(_tell_people, config_file, clock, report)
        await clock.sleep(_AGAIN_SECONDS)


def _outage(url: str) -> str:
    """Why the database cannot be opened just now; empty if it can, or if waiting would not help."""
    try:
        check_database(url)
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            # The durable engine has a file of its own there.
            check_database(f"sqlite:///{Path(parsed.database or '').with_name(ENGINE_FILE)}")
        else:
            with explained(url), contextlib.closing(Database(url)) as database:
                database.version()
    except UsageError as error:
        return str(error) if _passes(error.__cause__) else ""
    return ""


def _passes(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.OperationalError):
        return (cause.sqlite_errorcode & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return cause is not None and is_outage(cause)


def _report(problem: str, since: datetime, now: datetime, *, drill: bool) -> TroubleReport:
    """What the alert about a database would report that is away while we run: it is the same incident."""
    alert = Alert(
        id=new_id("alert", now.timestamp()),
        name=_RULE,
        fingerprint=fingerprint(_RULE, {"drill": "true"} if drill else {}),
        status=AlertStatus.FIRING,
        scenario=Scenario.CONTROL_PLANE,
        since=since,
        seen_at=now,
        updated_at=now,
        value=0.0,
        subject="database",
        title="The database does not answer",
        summary=problem,
        facts=Facts(database_unreachable=True),
        starts_at=now,
        drill=drill,
    )
    return report_of((alert,), now)


def _tell_people(config_file: Path, clock: Clock, report: TroubleReport) -> None:
    """Journal the report, and send it directly to those who are notified of a P0 incident."""
    redactor = Redactor()
    loader = ConfigLoader(config_file, redactor.find)
    state = ConfigSource(loader, loader.root / ".env", dict(os.environ), redactor.remember).read().state
    if state is None:
        return  # opening the database will say what is wrong with the configuration
    runtime, response = state.configuration.runtime, state.configuration.response
    people = oncall.contacts(response.audience_of(Severity.P0), response, clock.now())
    last_resort = LastResort(lambda: people, lambda: response, state.credentials, clock, redactor.data)
    bus = EventBus(clock)
    bus.subscribe(logs.log_event)
    folder = loader.root / runtime.state_directory / JOURNAL_FOLDER
    with contextlib.closing(logs.configure(loader.root / runtime.log_directory, "INFO", redactor.data)):
        journal = ReportJournal(folder, _AbsentService(redactor), bus, clock, last_resort, last_resort.reached)
        journal.report(report)
        journal.keep_reached()


class _AbsentService:
    """The incident service without its database: what it is told is journalled."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def clean(self, report: TroubleReport) -> TroubleReport:
        return replace(report, summary=self._redactor.text(report.summary))

    def open_or_join(self, *_: Any) -> NoReturn:
        raise StorageError("the database cannot be opened")

    def mark_cleared(self, *_: Any, **__: Any) -> NoReturn:
        raise StorageError("the database cannot be opened")

    mark = mark_cleared

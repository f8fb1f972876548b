"""The maintenance of a project: its backups, even if the database cannot be opened, and its jobs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration.agents.own_code import AGENT_STATE
from orchestration.app.application import Application
from orchestration.app.archive_content import write_nightly
from orchestration.app.leadership import Leadership
from orchestration.app.project import ProjectRecords, database_url, load_runtime
from orchestration.app.project_database import DATABASE_FILE, ENGINE_FILE
from orchestration.clock import Clock, SystemClock
from orchestration.config.loader import ConfigLoader
from orchestration.config.maintenance import MaintenanceSettings
from orchestration.config.source import ConfigSource
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError
from orchestration.events import EventBus
from orchestration.events.maintenance import DutySignedOff
from orchestration.maintenance.backups import BackupStore
from orchestration.maintenance.backups.manifest import BackupDatabases
from orchestration.maintenance.backups.postgres import PostgresDatabase
from orchestration.maintenance.backups.sqlite import SqliteFiles
from orchestration.maintenance.digest import DigestReport
from orchestration.maintenance.jobs import SIGN_OFFS, JobContext, jobs
from orchestration.maintenance.report_figures import FigureReports
from orchestration.maintenance.reports import ReportWriter
from orchestration.maintenance.retention import RetentionJob
from orchestration.maintenance.scheduler import MaintenanceScheduler
from orchestration.maintenance.service import BackupService
from orchestration.monitoring.collectors.databases import DatabaseWatch
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.redaction import Redactor
from orchestration.storage.audit import AuditTable
from orchestration.storage.call_records import CallRecords
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.maintenance import MaintenanceRecords, OldRows, SignOff
from orchestration.storage.outbox import Outbox
from orchestration.storage.samples import Samples
from orchestration.workflows.processes import CONTROL_PREFIX, LEASE_PREFIX, is_live

_LONGEST_REPORT = 1_000_000


class BackupSource:
    """The backups of a project whose database is not opened: it may be damaged, or gone.

    Raises ConfigurationError if the directories cannot be read from the configuration.
    """

    def __init__(self, config_file: Path, clock: Clock | None = None) -> None:
        redactor = Redactor()
        loader = ConfigLoader(config_file, redactor.find)
        source = ConfigSource(loader, loader.root / ".env", dict(os.environ), redactor.remember)
        runtime, configuration = load_runtime(source), loader.load().configuration
        settings = MaintenanceSettings() if configuration is None else configuration.maintenance
        state_folder = loader.root / runtime.state_directory
        server_url = database_url(source, runtime.database_url_env)
        clock = clock or SystemClock()
        self._url = server_url or f"sqlite:///{state_folder / DATABASE_FILE}"
        self.vault = _vault(loader.root, state_folder, server_url, settings, clock, EventBus(clock))

    def in_use(self) -> tuple[str, ...]:
        """The live processes that hold a lease; none if the database cannot be read."""
        url = sa.make_url(self._url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return ()
        database = Database(self._url)
        try:
            leases = Leases(database)
            found = [*leases.list(LEASE_PREFIX), *leases.list(CONTROL_PREFIX)]
        except (SQLAlchemyError, OSError):
            return ()
        finally:
            database.close()
        live = [lease.data for lease in found if is_live(lease)]
        return tuple(dict.fromkeys(f"process {one['pid']} on {one['host']}" for one in live))


class ProjectMaintenance:
    """Backups and jobs of a project with everything that runs agents. Run it with `run`."""

    def __init__(self, app: Application, outbox: Outbox | None = None) -> None:
        def settings() -> MaintenanceSettings:
            return app.configuration.maintenance

        self._app = app
        self.vault = vault_of(app)
        also = () if not app.database.is_sqlite else (app.state_folder / ENGINE_FILE,)
        trail = AuditTrail(AuditTable(app.database), app.bus, app.clock, app.redactor.data)
        watch = DatabaseWatch(app.database, app.clock, also)
        self.upkeep = BackupService(self.vault, watch, app.clock, app.bus, trail.problems)
        self.records = MaintenanceRecords(app.database)
        records, incidents = self.records, app.incident_service.records
        context = JobContext(
            backups=self.vault,
            backup_service=self.upkeep,
            digest=DigestReport(app.log_folder, records, incidents, app.alerts, app.runs, self.vault),
            figures=FigureReports(
                app.statistics, incidents, app.alerts, self._advisories, lambda: settings().time_zone
            ),
            writer=ReportWriter(
                reports_folder(app),
                lambda: app.configuration,
                outbox or Outbox(app.database, app.redactor.data),
                app.templates,
                app.redactor.text,
            ),
            records=records,
            settings=settings,
            retention=self._retention().run,
            archive=lambda backup: write_nightly(app, self.vault, backup, settings().backups),
        )
        holder = app.engine.executor_id
        self.service = MaintenanceScheduler(jobs(context), settings, records, app.leases, app.clock, app.bus, holder)

    async def run(self, leadership: Leadership) -> None:
        """Run the jobs that are due whenever this process leads, until cancelled."""
        await leadership.while_held(self._working)

    @contextlib.asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.service.run)
            yield
            group.cancel_scope.cancel()

    def _retention(self) -> RetentionJob:
        app = self._app
        return RetentionJob(
            lambda: app.configuration,
            app.log_folder,
            app.artifacts.folder,
            app.runs,
            OldRows(app.database),
            CallRecords(app.database),
            app.alerts,
            Samples(app.database),
            app.engine,
            app.workspaces,
            tuple(app.state_folder / name for name in ("shadow", "notes", AGENT_STATE)),
        )

    def _advisories(self) -> Path:
        return self._app.root / self._app.configuration.monitoring.advisories_directory


def vault_of(here: ProjectRecords) -> BackupStore:
    """The backups of an open project."""
    server_url = None if here.database.is_sqlite else here.database.url
    settings = here.configuration.maintenance
    return _vault(here.root, here.state_folder, server_url, settings, here.clock, here.bus)


def reports_folder(here: ProjectRecords) -> Path:
    """The folder of a project's reports."""
    named = here.configuration.maintenance.reports_directory
    return here.root / named if named else here.state_folder / "reports"


def list_reports(here: ProjectRecords) -> list[Path]:
    """The reports of a project, newest first."""
    found = reports_folder(here).glob("*.md")
    return sorted(found, key=lambda path: (path.stem[-10:], path.stem), reverse=True)


def find_report(here: ProjectRecords, name: str) -> str:
    """The text of a report. Raises NotFoundError, and OrchestratorError for one that cannot be read."""
    # By comparison with existing files: no path is built from a name in a request.
    path = next((one for one in list_reports(here) if one.stem == name), None)
    if path is None:
        raise NotFoundError(f"There is no report '{name[:64]}'. `orchestrator reports list` shows all.")
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:_LONGEST_REPORT]
    except OSError as error:
        raise OrchestratorError(
            f"{path.name} cannot be read: {error.strerror}. Check the permissions of its folder."
        ) from error


def sign_off(here: ProjectRecords, duty: str, by: str, note: str) -> tuple[SignOff, ...]:
    """Sign off a duty for every open month; returns its sign-offs. Raises NotFoundError for an unknown duty, and
    ConflictError if none is open."""
    if duty not in SIGN_OFFS:
        raise NotFoundError(f"There is no duty '{duty[:64]}'. Duties: {', '.join(SIGN_OFFS)}.")
    records = MaintenanceRecords(here.database)
    if not records.sign_off(duty, by, here.redactor.text(note), here.clock.now()):
        raise ConflictError(
            f"{duty} is not waiting for a sign-off: it is signed off already, or not due yet. "
            "`orchestrator maintenance list` shows what is open."
        )
    here.bus.publish(DutySignedOff(duty=duty), actor=by)
    return tuple(one for one in records.list_sign_offs() if one.duty == duty)


def _vault(
    root: Path, state_folder: Path, server_url: str | None, settings: MaintenanceSettings, clock: Clock, bus: EventBus
) -> BackupStore:
    named = settings.backups.directory
    databases: BackupDatabases
    if server_url is None:
        databases = SqliteFiles([state_folder / DATABASE_FILE, state_folder / ENGINE_FILE])
    else:
        databases = PostgresDatabase(server_url)
    folder = root / named if named else state_folder / "backups"
    return BackupStore(folder, state_folder / "restore", databases, clock, bus)

"""A project's configuration and records."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration import logs
from orchestration.app.budget_notices import BudgetNotices
from orchestration.app.isolation_record import IsolationRecorder
from orchestration.app.message_links import MessageLinks
from orchestration.app.oncall import OnCallRosterReader, OnCallService
from orchestration.app.project_database import DATABASE_FILE, ENGINE_FILE, open_database
from orchestration.app.recorded_time import follow_recorded_time
from orchestration.clock import Clock, SystemClock
from orchestration.config.findings import ConfigurationError
from orchestration.config.loader import ConfigLoader
from orchestration.config.response import OnCallRoster, ResponseSettings
from orchestration.config.revocations import FILE as REVOCATIONS_FILE
from orchestration.config.runtime import RuntimeSettings
from orchestration.config.schema import Configuration
from orchestration.config.source import ConfigSource
from orchestration.config.store import ConfigurationStore
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.events import EventBus
from orchestration.ids import new_id
from orchestration.incidents import oncall
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.model import person
from orchestration.incidents.service import IncidentService, Ports
from orchestration.incidents.statistics import Statistics
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.recipients import plan
from orchestration.notifications.templates import TemplateRenderer
from orchestration.runs.run_calls import RunCalls
from orchestration.runs.run_comparison import RunComparisons
from orchestration.security import link_key
from orchestration.security.redaction import Redactor
from orchestration.storage.alerts import Alerts
from orchestration.storage.approvals import Approval, ApprovalTable
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.call_records import CallRecords
from orchestration.storage.configuration import ConfigurationVersions, Overrides
from orchestration.storage.incidents.figures import IncidentFigures
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import Outbox
from orchestration.storage.runs import Run, Runs
from orchestration.storage.silences import Silences
from orchestration.storage.spend import Spend
from orchestration.storage.timeline import Timeline, TimelineWriter
from orchestration.workflows.artifacts import ArtifactStore
from orchestration.workflows.processes import control_processes

if TYPE_CHECKING:
    from orchestration.app.reviews import IncidentReviews

# The user's own texts of notifications.
_TEMPLATES = Path("config", "templates")
_RECORDED_SECONDS = 1.0


class BackgroundWriter(Protocol):
    """Writes to the database on a thread of its own, and calls back when all is written that came before."""

    def call_when_written(self, callback: Callable[[], object]) -> None: ...


class ProjectRecords:
    """A project's configuration and records.

    Raises ConfigurationError if neither the file nor an earlier version of it can be used, and UsageError if the
    database cannot.
    """

    def __init__(self, config_file: Path, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.bus = EventBus(self.clock)
        self.redactor = Redactor()
        # With the redactor's patterns: a secret in the file is a finding, and is never repeated in one.
        loader = ConfigLoader(config_file, self.redactor.find)
        self.root = loader.root
        self.config_file = loader.path
        # A copy: what a library changes in the environment of this process is not the user's setting.
        source = ConfigSource(loader, self.root / ".env", dict(os.environ), self.redactor.remember)
        # Read before the store exists: the section says where the database is, and the database holds the versions
        # that the store falls back to.
        runtime = load_runtime(source)
        self.state_folder = self.root / runtime.state_directory
        self.log_folder = self.root / runtime.log_directory
        self._server_url = database_url(source, runtime.database_url_env)
        # The address of the dashboard, if known: of this process, or of one that was serving when this was opened.
        self.serves_at = ""
        self._writer: TimelineWriter | None = None
        # The configuration and the roster as they were last, and both together.
        self._planned: tuple[Configuration, OnCallRoster, Configuration] | None = None
        self.database = open_database(self._server_url or f"sqlite:///{self.state_folder / DATABASE_FILE}")
        follow_recorded_time(self.clock, self.database)
        self.opened_at = self.clock.now()
        self.store = ConfigurationStore(
            replace(source, revocations_file=self.state_folder / REVOCATIONS_FILE),
            clock=self.clock,
            bus=self.bus,
            versions=ConfigurationVersions(self.database),
            overrides=Overrides(self.database),
        )
        self._build_repositories()
        self.artifacts = ArtifactStore(
            self.root / runtime.artifacts_directory, ArtifactTable(self.database), self.clock
        )
        self._build_incidents()

    def _build_repositories(self) -> None:
        self.leases = Leases(self.database)
        self.runs = Runs(self.database)
        self.timeline = Timeline(self.database)
        self.calls = RunCalls(self.timeline, CallRecords(self.database))
        self.comparisons = RunComparisons(self.timeline)
        self.approvals = ApprovalTable(self.database)
        self.alerts = Alerts(self.database)
        self.silences = Silences(self.database)
        self.roster = OnCallRosterReader(self.database, self.clock, lambda: self.store.current.response)
        self.on_call = OnCallService(self.database, self.bus, self.clock, self.roster, self.redactor)

    def _build_incidents(self) -> None:
        self.templates = TemplateRenderer.read(self.root / _TEMPLATES)
        ports = Ports(
            settings=lambda: self.configuration.response,
            prepare=self.roster.refresh,
            plan=partial(plan, templates=self.templates),
            redact=self.redactor.data,
            url=self.incident_url,
        )
        self.incident_service = IncidentService(self.database, self.bus, self.clock, ports)
        self.statistics = Statistics(IncidentFigures(self.database))
        self.message_links = MessageLinks(lambda: self.configuration.response, self.link_key)

    def link_key(self) -> str | None:
        """The key that signs links in messages. Raises OSError."""
        return self._private_key(self.configuration.response.message_links.key_env, link_key.FILE)

    def second_factor_key(self) -> str | None:
        """The key that seals second factors. Raises OSError."""
        return self._private_key(self.configuration.access.second_factor_key_env, link_key.SECOND_FACTOR_FILE)

    def _private_key(self, variable: str | None, file: str) -> str | None:
        if variable is not None:
            key = self.store.credentials.get(variable)
            return key if key and len(key) >= link_key.MINIMUM_LENGTH else None
        key = link_key.load_or_create(self.state_folder / file)
        self.redactor.remember([key])
        return key

    @property
    def reviews(self) -> IncidentReviews:
        """The post-incident reviews."""
        # Brings all actions of playbooks with it, which take long to import; few commands show a review.
        from orchestration.app.reviews import IncidentReviews

        records = self.incident_service.records
        return IncidentReviews(self.root, self.database, records, self.clock, self.redactor.text)

    @property
    def configuration(self) -> Configuration:
        """The configuration in force now, with what people and calendars have planned for the rotations."""
        configuration, roster = self.store.current, self.roster.current()
        if configuration.response.roster == roster:
            return configuration
        if self._planned is None or self._planned[0] is not configuration or self._planned[1] is not roster:
            response = configuration.response.with_roster(roster)
            self._planned = (configuration, roster, configuration.model_copy(update={"response": response}))
        return self._planned[2]

    @property
    def response(self) -> ResponseSettings:
        """The response to incidents, with the newest roster. Reads the database, hence not for use in a transaction."""
        self.roster.refresh()
        return self.configuration.response

    @property
    def engine_url(self) -> str:
        """The URL of the durable engine's tables. With SQLite they have a file of their own: it allows one writer at a
        time, and the engine's many small commits would hold up ours."""
        return self._server_url or f"sqlite:///{self.state_folder / ENGINE_FILE}"

    @contextlib.contextmanager
    def opened(self, *, or_last_good: bool) -> Iterator[None]:
        """Write the log and the timeline for as long as the block lasts."""
        self._writer = writer = TimelineWriter(self.timeline, self.redactor.data, [Spend(self.database).add_events])
        with contextlib.ExitStack() as stack:
            # Callbacks run in reverse: the writer empties its queue while the log and the database are still open.
            stack.callback(self.database.close)
            # At this level until the configuration is loaded, which names the user's.
            logging = logs.configure(self.log_folder, "INFO", self.redactor.data)
            stack.callback(logging.close)
            writer.start()
            stack.callback(writer.close)
            # Before the store is opened, so that its first events are on the timeline, too.
            self.bus.subscribe(logs.log_event)
            self.bus.subscribe(writer.write_soon)
            self.bus.subscribe(IsolationRecorder(self.notify, self.incident_service).on_event)
            self.bus.subscribe(BudgetNotices(self.notify).on_event)
            self.store.subscribe(lambda configuration: logging.set_level(configuration.monitoring.log_level))
            self.store.open(or_last_good=or_last_good)
            with contextlib.suppress(SQLAlchemyError):  # a notification without a link is better than none
                self.serves_at = next((one["url"] for one in control_processes(self.leases) if one["url"]), "")
            yield

    def incident_url(self, incident_id: str) -> str:
        """The URL of an incident's page; empty if the address of the dashboard is unknown. It does not read the
        database, since it is called within a transaction."""
        base = self.configuration.response.dashboard_url or self.serves_at
        return f"{base.rstrip('/')}/incidents/{incident_id}" if base else ""

    def notify(self, name: str, title: str, details: str) -> None:
        """Send a notice that is about no incident to everybody who is notified of a P0 incident, once for each name."""
        now, response = self.clock.now(), self.response
        notice = Notice(
            kind=NoticeKind.REPORT,
            incident_id=name,
            severity=Severity.P1,
            scenario=Scenario.CONTROL_PLANE,
            title=title,
            status="REPORT",
            details=details,
        )
        people = oncall.audience(Severity.P0, response, now)
        Outbox(self.database, self.redactor.data).add(
            plan(notice, people, response, "notice", now, templates=self.templates)
        )

    async def recorded(self) -> None:
        """Return when all events emitted so far are on the timeline, so that what is acknowledged after that survives a
        crash of this process. If the database does not answer, this returns after a second."""
        loop, events = asyncio.get_running_loop(), list[anyio.Event]()

        def set_written(event: anyio.Event) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(event.set)

        for writer in self._writers():
            events.append(event := anyio.Event())
            writer.call_when_written(partial(set_written, event))
        with anyio.move_on_after(_RECORDED_SECONDS):
            for event in events:
                await event.wait()

    def _writers(self) -> Sequence[BackgroundWriter]:
        """What writes to the database in the background."""
        return () if self._writer is None else (self._writer,)

    def answer(self, question: Approval, *, approved: bool, by: str, reason: str) -> None:
        """Record a person's answer; what a response asked is answered on its incident's timeline, too. Raises
        ConflictError when there is an answer already."""
        # Brings the durable engine with it, which takes long to import; few commands answer a question.
        from orchestration.workflows.approvals import Approvals

        reason = self.redactor.text(reason)
        Approvals(self.approvals, self.runs, self.bus, self.clock).decide(
            question, approved=approved, by=by, reason=reason
        )
        # The subject of any other question is an incident, whose timeline has to show who decided.
        if not question.subject.startswith("run-"):
            said = f"{'approved' if approved else 'denied'}: {question.question}{f'; {reason}' if reason else ''}"
            self.incident_service.execute(question.subject, person(by), AddNote(said))

    def find_run(self, text: str) -> Run:
        """The run with an identifier or a unique part of one. Raises NotFoundError."""
        return self.runs.find(text)

    async def get_run(self, run_id: str) -> Run:
        """The run as it is now."""
        return await anyio.to_thread.run_sync(self.runs.get, run_id)

    def artifacts_of(self, run: Run) -> list[Path]:
        """The files that a run has left."""
        return [self.artifacts.path(run.id, record.name) for record in self.artifacts.list(run.id)]

    def new_demo_folder(self) -> Path:
        """A folder for a fresh copy of the sample."""
        return self.state_folder / "demo" / new_id("demo", self.clock.now().timestamp())


@contextlib.contextmanager
def project(config_file: str) -> Iterator[ProjectRecords]:
    """Open a project's records; with a broken configuration, by its last good version."""
    here = ProjectRecords(Path(config_file))
    with here.opened(or_last_good=True):
        yield here


def load_runtime(source: ConfigSource) -> RuntimeSettings:
    """The section `runtime` of the file, even of one with errors: it names the directories. For a file that cannot be
    read at all, the defaults are used if there is a database in them: it holds the earlier versions. Raises
    ConfigurationError."""
    reading = source.read()
    loaded = source.loader.load()
    if loaded.configuration is not None:
        return loaded.configuration.runtime
    usual = RuntimeSettings()
    if (source.loader.root / usual.state_directory / DATABASE_FILE).is_file():
        return usual
    raise ConfigurationError(str(source.loader.path), reading.refused or loaded.findings)


def database_url(source: ConfigSource, name: str | None) -> str | None:
    """The URL of the database server, from an environment variable; None without a variable. Raises UsageError."""
    if name is None:
        return None
    reading = source.read()
    value = reading.state.credentials.get(name) if reading.state else os.environ.get(name)
    if value is None:
        raise UsageError(
            f"The variable {name} with the URL of the database is not set. Put {name}=postgresql+psycopg://… into .env."
        )
    return value

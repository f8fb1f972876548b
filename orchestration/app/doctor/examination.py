"""All health checks, in the order in which they are shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.agents.sandbox import isolation_gaps
from orchestration.app.config_check import check_files
from orchestration.app.doctor import advisories, frameworks, labels, links, machine, providers
from orchestration.app.doctor.diagnosis import CheckResult, ok, problem, warning
from orchestration.app.oncall_calendars import CalendarState, states
from orchestration.app.project_database import DATABASE_FILE, check_database
from orchestration.app.provider_health import read_service_health
from orchestration.clock import Clock
from orchestration.config.credentials import EnvironmentCredentials, read_env_file
from orchestration.config.isolation import isolation_among
from orchestration.config.loader import ConfigLoader
from orchestration.config.schema import Configuration
from orchestration.errors import OrchestratorError
from orchestration.monitoring.health.service_documents import ServiceState
from orchestration.security.redaction import Redactor
from orchestration.storage.configuration import Overrides
from orchestration.storage.database import HEAD, Database
from orchestration.storage.leases import Leases
from orchestration.storage.oncall import OnCallCalendars
from orchestration.workflows.processes import live_processes

T = TypeVar("T")


async def examine(config_file: Path, environment: Mapping[str, str], clock: Clock) -> Sequence[CheckResult]:
    """Run all checks. A configuration that cannot be read is a result, and the other checks then use the defaults."""
    loader = ConfigLoader(config_file)
    credentials = EnvironmentCredentials(environment, read_env_file(loader.root / ".env")[0])
    configuration = loader.load(credentials.names).configuration or Configuration()
    here = list(machine.check(configuration, loader.root, clock.now()))
    audited = await anyio.to_thread.run_sync(advisories.check, configuration, loader.root, clock.now())
    database = await anyio.to_thread.run_sync(_database, configuration, loader.root, credentials)
    isolated = await anyio.to_thread.run_sync(_isolated, configuration, loader.root, credentials, clock.now())
    read = await anyio.to_thread.run_sync(_calendars, configuration, loader.root, credentials, clock.now())
    placed = await anyio.to_thread.run_sync(_labels, configuration, loader.root, credentials)
    isolation = await _isolation(configuration)
    asked = await providers.check(configuration, credentials, clock)
    reported = await _vendors(configuration, credentials, clock)
    redactor = Redactor()
    # Providers' messages can repeat the key that they refuse, and this output is pasted into bug reports.
    redactor.remember(credentials.secrets(configuration))
    checked = _configuration(config_file, environment)
    found = [
        *isolated,
        *here,
        isolation,
        database,
        *checked,
        *frameworks.check(configuration, loader.root),
        *read,
        *placed,
        *links.check(configuration, credentials),
        audited,
        *asked,
        *reported,
    ]
    return [replace(one, found=redactor.text(one.found)) for one in found]


async def _vendors(
    configuration: Configuration, credentials: EnvironmentCredentials, clock: Clock
) -> Sequence[CheckResult]:
    """What the providers' vendors report; a page that cannot be read is no finding about this machine."""
    if not configuration.monitoring.read_status_pages:
        return []
    found = []
    for one in await read_service_health(configuration, credentials, clock):
        subject = f"vendor of {one.provider}"
        if one.state.is_trouble:
            titles = "; ".join(outage.title for outage in one.outages)
            advice = "see: orchestrator providers health; another provider in runtime.fallbackProviders takes over"
            found.append(warning(subject, f"reports {one.state.value}: {titles}".rstrip(": "), advice))
        elif one.state is ServiceState.OPERATIONAL:
            found.append(ok(subject, "reports no outage"))
    return found


async def _isolation(configuration: Configuration) -> CheckResult:
    """Whether the commands of agents can be isolated."""
    subject, setting = "commands", configuration.runtime.commands.wall
    if setting == "off":
        return warning(subject, "agents' commands can reach everything that you can", "remove runtime.commands.wall")
    if not (gaps := await isolation_gaps(Path.cwd())):
        return ok(subject, "agents' commands are isolated: files, secrets, network")
    advice = "allow user namespaces and Landlock, or run in a container; see docs/explanation/security.md"
    kind = problem if setting == "required" else warning
    return kind(subject, f"agents' commands cannot be isolated from {gaps}", advice)


def _configuration(config_file: Path, environment: Mapping[str, str]) -> Sequence[CheckResult]:
    checked = check_files(config_file, environment)
    advice = "see all with: orchestrator config validate"
    if not checked.findings:
        return [ok("configuration", f"{config_file} can be used")]
    worst = min(checked.findings, key=lambda finding: finding.severity)  # errors come before warnings
    more = len(checked.findings) - 1
    found = f"{worst} (and {more} more)" if more else str(worst)
    kind = warning if checked.usable else problem
    return [kind("configuration", found, advice)]


def _database(configuration: Configuration, root: Path, credentials: EnvironmentCredentials) -> CheckResult:
    """Whether the database can be opened and has this release's version. It is not migrated here."""
    name, file = configuration.runtime.database_url_env, root / configuration.runtime.state_directory / DATABASE_FILE
    url = credentials.get(name) if name else f"sqlite:///{file}"
    if url is None:
        return problem("database", f"{name} is not set", f"put {name}=postgresql+psycopg://… into .env")
    # Opening would create the file, and a check must not.
    if name is None and not file.exists():
        return ok("database", f"{file} will be created")
    try:
        check_database(url)
        version = _version(url)
    except OrchestratorError as error:
        return problem("database", str(error), "correct this first; nothing can run without a database")
    # Newer tables are known only to the release that wrote them.
    if version is not None and version > HEAD:
        found = f"version {version}, newer than {HEAD}"
        return problem("database", found, "install the release that wrote it, or configure another database")
    return ok("database", f"version {version or 'none yet'}" + ("" if version == HEAD else f", becomes {HEAD} on use"))


def _isolated(
    configuration: Configuration, root: Path, credentials: EnvironmentCredentials, now: datetime
) -> Sequence[CheckResult]:
    """The isolation, if the system is isolated. It comes first: nothing can be started before it is lifted."""
    active = _recorded(configuration, root, credentials, lambda database: Overrides(database).list_active(now))
    found = isolation_among(configuration, active or ())
    return [] if found is None else [problem("isolation", found.sentence, found.remedy)]


def _calendars(
    configuration: Configuration, root: Path, credentials: EnvironmentCredentials, now: datetime
) -> Sequence[CheckResult]:
    """Whether the calendars that say who is on call are read."""
    response = configuration.response
    found = _recorded(
        configuration, root, credentials, lambda database: list(states(response, OnCallCalendars(database), now))
    )
    return [_calendar(one) for one in found or ()]


def _labels(configuration: Configuration, root: Path, credentials: EnvironmentCredentials) -> Sequence[CheckResult]:
    """Whether each label that agents run on has a worker."""
    if not any(agent.runs_on for agent in configuration.agents):
        return []
    alive = _recorded(configuration, root, credentials, lambda database: live_processes(Leases(database)))
    return list(labels.check(configuration, alive or ()))


def _recorded(
    configuration: Configuration, root: Path, credentials: EnvironmentCredentials, read: Callable[[Database], T]
) -> T | None:
    """Read something from the database; None where there is none yet, or it cannot be read: that is a finding of its
    own check."""
    name, file = configuration.runtime.database_url_env, root / configuration.runtime.state_directory / DATABASE_FILE
    url = credentials.get(name) if name else f"sqlite:///{file}"
    if url is not None and (name or file.exists()):
        with contextlib.suppress(OrchestratorError, SQLAlchemyError), contextlib.closing(Database(url)) as database:
            return read(database)
    return None


def _calendar(state: CalendarState) -> CheckResult:
    subject = f"calendar of {state.rotation}"
    read = "never read" if state.read_at is None else f"read at {state.read_at:%Y-%m-%d %H:%M} UTC"
    if not state.problem and not state.stale:
        return ok(subject, read)
    advice = "open its address in a browser; what was read last stays in force"
    return warning(subject, f"{state.problem or 'not read for long'}; {read}", advice)


def _version(url: str) -> str | None:
    database = Database(url)
    try:
        return database.version()
    finally:
        database.close()

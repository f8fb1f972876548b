"""Maintenance: known jobs, valid times, and existing recipients of reports. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import normpath

from orchestration.config.checks.environment import CheckEnvironment, directories
from orchestration.config.checks.response import EVERYONE, LEVELS
from orchestration.config.checks.schedules import is_possible_cron
from orchestration.config.document import JsonPath
from orchestration.config.findings import FindingCode
from orchestration.config.maintenance import DEFAULT_CRONS, MaintenanceSettings
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration

_ROOT: JsonPath = ("maintenance",)


def check(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Check the section `maintenance`."""
    settings, response = configuration.maintenance, configuration.response
    yield from _check_jobs(settings)
    yield from _check_directories(configuration)
    contacts = [contact.id for contact in response.contacts]
    known = [*contacts, *(rotation.id for rotation in response.rotations), EVERYONE, *LEVELS]
    for place, name in enumerate(settings.audience):
        if name not in known:
            path, message = (*_ROOT, "audience", place), f'there is no contact or rotation "{name}"'
            yield Problem(FindingCode.UNKNOWN_CONTACT, path, message, hint=suggest(name, known))


def _check_jobs(settings: MaintenanceSettings) -> Iterator[Problem]:
    for name, job in settings.jobs.items():
        path = (*_ROOT, "jobs", name)
        if name not in DEFAULT_CRONS:
            yield Problem(FindingCode.UNKNOWN_JOB, path, f'there is no job "{name}"', hint=suggest(name, DEFAULT_CRONS))
        elif job.cron is not None and not is_possible_cron(job.cron):
            expected = "minute hour day month weekday, such as 0 9 * * mon-fri"
            yield Problem(FindingCode.BAD_CRON, (*path, "cron"), f'"{job.cron}" is not a cron expression', expected)


def _check_directories(configuration: Configuration) -> Iterator[Problem]:
    """Backups in the directory of logs or artifacts would be deleted with them, or delete what is not theirs."""
    settings = configuration.maintenance
    taken = {normpath(name): key for key, name in directories(configuration.runtime).items()}
    own = {
        ("backups", "directory"): settings.backups.directory,
        ("reportsDirectory",): settings.reports_directory,
    }
    for path, name in own.items():
        if name is None:
            continue
        normal = normpath(name)
        if not name.strip() or normal in (".", "/") or normal.split("/")[0] == "..":
            expected = "a folder inside the project, or an absolute path"
            yield Problem(FindingCode.BAD_DIRECTORY, (*_ROOT, *path), f'{path[-1]} is "{name}"', expected)
        elif normal in taken:
            message = f"{path[-1]} is the same as {taken[normal]}"
            yield Problem(FindingCode.BAD_DIRECTORY, (*_ROOT, *path), message, "a folder for each")
        taken.setdefault(normal, path[-1])

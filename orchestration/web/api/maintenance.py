"""Maintenance: jobs, sign-offs, backups and reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from orchestration.app.maintenance import find_report, list_reports, sign_off
from orchestration.maintenance.backups import Backup
from orchestration.maintenance.scheduler import JobStatus
from orchestration.security.principal import Role
from orchestration.storage.maintenance import JobRun, SignOff
from orchestration.web.api.services import Caller, Limit, Name, Services, Text, requires

router = APIRouter()
_AREA = "maintenance"
_VIEW = requires(Role.VIEWER, _AREA)
_OPERATE = requires(Role.OPERATOR, _AREA)


class BackupView(BaseModel):
    """A backup that was verified when it was made."""

    id: str
    made_at: datetime
    source: str
    version: str
    seconds: float
    bytes: int
    rows: int


class BackupCheck(BaseModel):
    """The result of verifying a backup, and how many seconds that took."""

    backup: str
    good: bool
    problems: Sequence[str]
    seconds: float


class SignOffNote(BaseModel):
    """What was done and with what result, for others to read."""

    note: Text


class ReportView(BaseModel):
    """The name of a report."""

    report: str


@router.get("/maintenance/jobs", dependencies=_VIEW)
def list_jobs(services: Services) -> Sequence[JobStatus]:
    """List the jobs with their next and last runs."""
    return services.control.maintenance.service.statuses()


@router.post("/maintenance/jobs/{job}/run", status_code=202, dependencies=_OPERATE)
async def run_job(services: Services, principal: Caller, job: Name) -> JobRun:
    """Start a job now. `GET /maintenance/runs` shows its result."""
    started: JobRun = await services.app.tasks.start(services.control.maintenance.service.start, job, principal.name)
    return started


@router.get("/maintenance/runs", dependencies=_VIEW)
def list_job_runs(
    services: Services, job: Annotated[str | None, Query(max_length=64)] = None, limit: Limit = 50
) -> Sequence[JobRun]:
    """List the latest runs of jobs with their output, newest first."""
    return services.control.maintenance.records.list_runs(job, limit=limit)


@router.get("/maintenance/duties", dependencies=_VIEW)
def list_duties(
    services: Services, is_open: Annotated[bool, Query(alias="open")] = False, limit: Limit = 50
) -> Sequence[SignOff]:
    """List the monthly duties that people sign off; `open` lists only those that are not signed off."""
    return services.control.maintenance.records.list_sign_offs(only_open=is_open, limit=limit)


@router.post("/maintenance/duties/{duty}/sign-off", dependencies=_OPERATE)
def sign(services: Services, principal: Caller, duty: Name, body: SignOffNote) -> Sequence[SignOff]:
    """Sign off a duty for every month that is still open."""
    return sign_off(services.app, duty, principal.name, body.note)


@router.get("/maintenance/backups", dependencies=_VIEW)
def list_backups(services: Services) -> list[BackupView]:
    """List the verified backups, newest first."""
    return [_view(one) for one in services.control.maintenance.vault.list()]


@router.post("/maintenance/backups/{backup}/verify", dependencies=_OPERATE)
def verify_backup(services: Services, backup: Name) -> BackupCheck:
    """Restore a backup into a scratch database and verify the result."""
    store = services.control.maintenance.vault
    result = store.verify(store.find(backup))
    return BackupCheck(backup=result.backup, good=result.good, problems=result.problems, seconds=result.seconds)


@router.get("/maintenance/reports", dependencies=_VIEW)
def list_all_reports(services: Services) -> list[ReportView]:
    """List the reports, newest first."""
    return [ReportView(report=path.stem) for path in list_reports(services.app)]


@router.get("/maintenance/reports/{report}", dependencies=_VIEW, response_class=PlainTextResponse)
def show_report(services: Services, report: Name) -> PlainTextResponse:
    """Show a report as Markdown."""
    return PlainTextResponse(find_report(services.app, report), media_type="text/markdown; charset=utf-8")


def _view(backup: Backup) -> BackupView:
    return BackupView(**{name: getattr(backup, name) for name in BackupView.model_fields})

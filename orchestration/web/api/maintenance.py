"""Maintenance: its jobs, what people sign off, backups, and reports."""

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
from orchestration.web.api.services import Here, Limit, Name, Text, Who, needs

router = APIRouter()
_AREA = "maintenance"
_LOOK = needs(Role.VIEWER, _AREA)
_ACT = needs(Role.OPERATOR, _AREA)


class BackupLine(BaseModel):
    """A backup that was opened again and found to be whole."""

    id: str
    made_at: datetime
    source: str
    version: str
    seconds: float
    bytes: int
    rows: int


class BackupCheck(BaseModel):
    """What came of opening a backup again, and how many seconds it took."""

    backup: str
    good: bool
    problems: Sequence[str]
    seconds: float


class Signature(BaseModel):
    """What was done, and what came of it; others will read it."""

    note: Text


class ReportLine(BaseModel):
    """A report by its name."""

    report: str


@router.get("/maintenance/jobs", dependencies=_LOOK)
def list_jobs(here: Here) -> Sequence[JobStatus]:
    """The jobs, when each is due, and what came of it last."""
    return here.control.maintenance.service.statuses()


@router.post("/maintenance/jobs/{job}/run", status_code=202, dependencies=_ACT)
async def run_job(here: Here, who: Who, job: Name) -> JobRun:
    """Begin a job now; `GET /maintenance/runs` says what came of it."""
    begun: JobRun = await here.app.tasks.start(here.control.maintenance.service.start, job, who.name)
    return begun


@router.get("/maintenance/runs", dependencies=_LOOK)
def list_job_runs(
    here: Here, job: Annotated[str | None, Query(max_length=64)] = None, limit: Limit = 50
) -> Sequence[JobRun]:
    """The last runs of jobs and what each had to say, the newest first."""
    return here.control.maintenance.records.list_runs(job, limit=limit)


@router.get("/maintenance/duties", dependencies=_LOOK)
def list_duties(
    here: Here, is_open: Annotated[bool, Query(alias="open")] = False, limit: Limit = 50
) -> Sequence[SignOff]:
    """What people do once a month and sign off; `open` leaves out what is signed."""
    return here.control.maintenance.records.list_sign_offs(only_open=is_open, limit=limit)


@router.post("/maintenance/duties/{duty}/sign-off", dependencies=_ACT)
def sign(here: Here, who: Who, duty: Name, asked: Signature) -> Sequence[SignOff]:
    """Say that a duty was done, for every month that waits."""
    return sign_off(here.app, duty, who.name, asked.note)


@router.get("/maintenance/backups", dependencies=_LOOK)
def list_backups(here: Here) -> list[BackupLine]:
    """The good backups, the newest first."""
    return [_line(one) for one in here.control.maintenance.vault.list()]


@router.post("/maintenance/backups/{backup}/verify", dependencies=_ACT)
def verify_backup(here: Here, backup: Name) -> BackupCheck:
    """Restore a backup into a scratch database and check that."""
    vault = here.control.maintenance.vault
    tried = vault.verify(vault.find(backup))
    return BackupCheck(backup=tried.backup, good=tried.good, problems=tried.problems, seconds=tried.seconds)


@router.get("/maintenance/reports", dependencies=_LOOK)
def list_all_reports(here: Here) -> list[ReportLine]:
    """The reports, the newest first."""
    return [ReportLine(report=path.stem) for path in list_reports(here.app)]


@router.get("/maintenance/reports/{report}", dependencies=_LOOK, response_class=PlainTextResponse)
def show_report(here: Here, report: Name) -> PlainTextResponse:
    """A report, as Markdown."""
    return PlainTextResponse(find_report(here.app, report), media_type="text/markdown; charset=utf-8")


def _line(backup: Backup) -> BackupLine:
    return BackupLine(**{name: getattr(backup, name) for name in BackupLine.model_fields})

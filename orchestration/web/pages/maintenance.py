"""The maintenance page: scheduled jobs, backups, reports, and the duties that people sign off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.maintenance import ProjectMaintenance, find_report, list_reports, sign_off
from orchestration.errors import ConflictError
from orchestration.events.maintenance import BackupFailed, BackupRestoreTested
from orchestration.maintenance.jobs import SIGN_OFFS
from orchestration.security.principal import Principal, Role
from orchestration.web.pages.forms import Form
from orchestration.web.pages.markdown import html
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_RUNS_SHOWN = 30
# Long enough to contain the monthly restore test of the last backup, even if one month was missed.
_RESTORE_TESTS_SHOWN_FOR = timedelta(days=90)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms, and one page for each report."""
    view = _Maintenance(site)
    subjects = ("maintenance", "backup", "duty")
    page = SitePage("/maintenance", "maintenance.html", "maintenance", view.read, subjects, refreshes=True)
    report = SitePage("/maintenance/reports/{report}", "report.html", "maintenance", view.read_report)
    actions = {
        "sign-off": (view.sign_off, Role.OPERATOR),
        "rehearse": (view.test_restore, Role.OPERATOR),
        "run": (view.run_job, Role.OPERATOR),
    }
    return [*site.page(page, actions), *site.page(report)]


class _Maintenance:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._maintenance = ProjectMaintenance(site.app)

    async def read(self, request: Request) -> Values:  # noqa: ARG002
        return await anyio.to_thread.run_sync(self._read)

    def _read(self) -> Values:
        maintenance, since = self._maintenance, self._app.clock.now() - _RESTORE_TESTS_SHOWN_FOR
        restore_tests = self._app.timeline.list_newest_of_kind(BackupRestoreTested.kind, since)
        failed = self._app.timeline.list_newest_of_kind(BackupFailed.kind, since)
        return {
            "jobs": maintenance.service.statuses(),
            "history": maintenance.records.list_runs(limit=_RUNS_SHOWN),
            "duties": maintenance.records.list_sign_offs(limit=_RUNS_SHOWN),
            "about": SIGN_OFFS,
            "backups": maintenance.vault.list(),
            "restore_tests": {str(event.data.get("backup")): event for _, event in restore_tests},
            "failed": failed[-1][1] if failed else None,
            "reports": [path.stem for path in list_reports(self._app)],
        }

    async def read_report(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read_report, request.path_params["report"])

    def _read_report(self, name: str) -> Values:
        return {"name": name, "report": html(find_report(self._app, name))}

    async def sign_off(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        duty, note = form.text("duty"), form.text("note")
        await anyio.to_thread.run_sync(sign_off, self._app, duty, principal.name, note)
        return "/maintenance", "signed"

    async def run_job(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        await self._app.tasks.start(self._maintenance.service.start, form.text("job"), principal.name)
        return "/maintenance", "job-begun"

    async def test_restore(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        result = await anyio.to_thread.run_sync(self._maintenance.upkeep.test_restore)
        if not result.good:
            raise ConflictError(f"Backup {result.backup} could not be restored: {'; '.join(result.problems)}")
        return "/maintenance", "rehearsed"

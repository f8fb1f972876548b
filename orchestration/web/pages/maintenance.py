"""Maintenance: what the system does by the calendar to stay well, backups, reports, and what people sign off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.upkeep import MaintenanceRoom, reports_folder
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError
from orchestration.maintenance.jobs import DUTIES
from orchestration.security.principal import Principal, Role
from orchestration.web.pages.forms import Form
from orchestration.web.pages.markdown import html
from orchestration.web.pages.site import Page, Site, Values

_SHOWN = 30
_REHEARSALS = timedelta(days=90)
_LONGEST_REPORT = 1_000_000


def routes(site: Site) -> Sequence[Route]:
    """The page with its forms, and a page for each report."""
    upkeep = _Maintenance(site)
    subjects = ("maintenance", "backup", "duty")
    page = Page("/maintenance", "maintenance.html", "maintenance", upkeep.read, subjects, stales=True)
    report = Page("/maintenance/reports/{report}", "report.html", "maintenance", upkeep.read_report)
    deeds = {
        "sign-off": (upkeep.sign_off, Role.OPERATOR),
        "rehearse": (upkeep.rehearse, Role.OPERATOR),
    }
    return [*site.page(page, deeds), *site.page(report)]


class _Maintenance:
    def __init__(self, site: Site) -> None:
        self._app = site.app
        self._room = MaintenanceRoom(site.app)

    async def read(self, request: Request) -> Values:  # noqa: ARG002
        return await anyio.to_thread.run_sync(self._read)

    def _read(self) -> Values:
        room, since = self._room, self._app.clock.now() - _REHEARSALS
        rehearsed = self._app.timeline.newest_of("backup.rehearsed", since)
        failed = self._app.timeline.newest_of("backup.failed", since)
        return {
            "standings": room.service.standings(),
            "history": room.records.history(limit=_SHOWN),
            "duties": room.records.duties(limit=_SHOWN),
            "about": DUTIES,
            "backups": room.vault.list(),
            "rehearsed": {str(event.data.get("backup")): event for _, event in rehearsed},
            "failed": failed[-1][1] if failed else None,
            "reports": [path.stem for path in self._reports()],
        }

    async def read_report(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read_report, request.path_params["report"])

    def _read_report(self, name: str) -> Values:
        # By comparison with what is there: no path is made of what somebody asks for.
        path = next((one for one in self._reports() if one.stem == name), None)
        if path is None:
            raise NotFoundError(
                f"expected a report that is there, got '{name[:64]}'; the page of maintenance lists them"
            )
        try:
            text = path.read_text(encoding="utf-8", errors="replace")[:_LONGEST_REPORT]
        except OSError as error:
            raise OrchestratorError(f"expected to read {path.name}: {error.strerror}; look at its folder") from error
        return {"name": name, "report": html(text)}

    def _reports(self) -> list[Path]:
        """The newest first."""
        found = reports_folder(self._app).glob("*.md")
        return sorted(found, key=lambda path: (path.stem[-10:], path.stem), reverse=True)

    async def sign_off(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        duty, note = form.text("duty"), self._app.redactor.text(form.text("note"))
        if duty not in DUTIES:
            raise NotFoundError(f"expected a duty ({', '.join(DUTIES)}), got '{duty[:64]}'; load the page again")
        now = self._app.clock.now()
        if not await anyio.to_thread.run_sync(self._room.records.sign, duty, principal.name, note, now):
            raise ConflictError(f"expected {duty} to wait for a signature, got it signed or not asked for yet")
        self._app.bus.emit("duty.signed", actor=principal.name, duty=duty)
        return "/maintenance", "signed"

    async def rehearse(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        tried = await anyio.to_thread.run_sync(self._room.upkeep.rehearse)
        if not tried.good:
            raise ConflictError(f"{tried.backup} could not be restored: {'; '.join(tried.problems)}")
        return "/maintenance", "rehearsed"

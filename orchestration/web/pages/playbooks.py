"""The playbook pages: the list with tripped guards, and for each playbook its runbook, history and dry run."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.dry_run import preview
from orchestration.app.reviews import PLAYBOOKS
from orchestration.errors import ConflictError
from orchestration.events.playbooks import GuardReset
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.runbook import runbook
from orchestration.security.principal import Principal, Role
from orchestration.storage.playbooks import ActionRun, PlaybookRecords, PlaybookRun
from orchestration.web.pages.forms import Form
from orchestration.web.pages.markdown import html
from orchestration.web.pages.site import DashboardSite, SitePage, Values

# Actions and guards have events of their own; that a playbook run starts or finishes shows in its incident's events.
SUBJECTS = ("action", "guard", "incident")
_RECENT_RUNS = 200
_HISTORY_SHOWN = 20


def routes(site: DashboardSite) -> Sequence[Route]:
    """The list, and one page for each playbook."""
    view = _Playbooks(site)
    list_page = SitePage("/playbooks", "playbooks.html", "playbooks", view.read_all, SUBJECTS)
    playbook_page = SitePage("/playbooks/{playbook}", "playbook.html", "playbooks", view.read_one, SUBJECTS)
    return [
        *site.page(list_page, {"reset": (view.reset, Role.OPERATOR)}),
        *site.page(playbook_page, {"dry-run": (view.dry_run, Role.RESPONDER)}),
    ]


def runs_on(records: PlaybookRecords, incident_id: str) -> list[tuple[PlaybookRun, tuple[ActionRun, ...]]]:
    """The playbook runs on an incident with their actions, newest run first."""
    return [(run, records.list_actions(run_id=run.id)) for run in records.list_runs(incident_id=incident_id)]


class _Playbooks:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._records = PlaybookRecords(site.app.database)

    async def read_all(self, request: Request) -> Values:  # noqa: ARG002
        return await anyio.to_thread.run_sync(self._read_all)

    def _read_all(self) -> Values:
        catalogue = self._catalogue()
        recent_runs: dict[str, list[PlaybookRun]] = {}
        for run in self._records.list_runs(limit=_RECENT_RUNS):
            recent_runs.setdefault(run.playbook, []).append(run)
        return {
            "entries": catalogue.all(),
            "mistakes": catalogue.mistakes,
            "recent_runs": recent_runs,
            "trips": self._records.list_trips(),
        }

    async def read_one(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read_one, request.path_params["playbook"])

    def _read_one(self, name: str) -> Values:
        entry = self._catalogue().get(name)
        runs = self._records.list_runs(playbook=name, limit=_HISTORY_SHOWN)
        # Without the first line, its title: the page has a heading of its own.
        text = runbook(entry.playbook).partition("\n")[2]
        return {
            "entry": entry,
            "book": entry.playbook,
            "runbook": html(text),
            "history": [(run, self._records.list_actions(run_id=run.id)) for run in runs],
            "incidents": self._app.incident_service.records.table.list(is_open=True, limit=50),
            "plan": None,
        }

    async def dry_run(self, request: Request, form: Form, principal: Principal) -> Values:  # noqa: ARG002
        incident = form.text("incident", required=False) or None
        return {"plan": await preview(self._app, request.path_params["playbook"], incident)}

    async def reset(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        action = form.text("action")
        now = self._app.clock.now()
        count = await anyio.to_thread.run_sync(self._records.reset_trips, action, principal.name, now)
        # Somebody else may have reset it between loading the page and pressing the button.
        if not count:
            raise ConflictError(f"No guard is tripped for the action '{action[:64]}'. Reload the page.")
        self._app.bus.publish(GuardReset(action=action, count=count), actor=principal.name)
        return "/playbooks", "guard-reset"

    def _catalogue(self) -> PlaybookCatalogue:
        """The playbooks as they are on disk: people edit them while the server runs."""
        return PlaybookCatalogue(self._app.root / PLAYBOOKS)

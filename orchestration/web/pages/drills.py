"""The drills page: all drills with their expected outcomes, the ones that are running, and past results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.drill_sessions import DrillSession, DrillSessions
from orchestration.domain.scenario import Scenario
from orchestration.drills import catalogue
from orchestration.drills.model import Drill
from orchestration.errors import UsageError
from orchestration.events import Event
from orchestration.events.drills import DrillConcluded
from orchestration.security.principal import Principal, Role
from orchestration.storage.drills import DrillHistory, DrillRecord
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_HISTORY_SHOWN = 100
_RESULTS_PER_DRILL = 12
_QUICK, _ALL = "quick", "all"
# For how long the page says that the latest drills could not be run.
_FAILURE_SHOWN_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DrillRowView:
    """A drill with its latest results, newest first. `impossible` says why it cannot run on this machine, or is
    empty."""

    drill: Drill
    impossible: str
    results: tuple[DrillRecord, ...]


@dataclass(frozen=True, slots=True)
class SessionDrill:
    """One drill of the running session, with its result once it has one. `left_out` says why it is skipped."""

    drill: str
    result: DrillRecord | None
    left_out: str

    @property
    def detected(self) -> float | None:
        return self.result.figures.get("detected_after") if self.result else None


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page and its forms."""
    drills = _Drills(site)
    actions = {"begin": (drills.begin, Role.OPERATOR), "stop": (drills.stop, Role.OPERATOR)}
    return site.page(SitePage("/drills", "drills.html", "drills", drills.read, ("drill",), refreshes=True), actions)


class _Drills:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._history = DrillHistory(site.app.database)
        self._sessions = DrillSessions(site.app)

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, request.query_params.get("drill", ""))

    def _read(self, chosen: str) -> Values:
        names = [drill.name for drill in catalogue.list_drills()]
        if chosen and chosen not in names:
            raise UsageError(f"There is no drill '{chosen[:64]}'. Choose one of: {', '.join(names)}.")
        lines = [
            DrillRowView(drill, drill.impossible(), self._history.list(drill.name, _RESULTS_PER_DRILL))
            for drill in catalogue.list_drills()
        ]
        session = self._sessions.under_way()
        latest = [line.results[0] for line in lines if line.results]
        return {
            "lines": lines,
            "run_count": len(latest),
            "passed": sum(record.passed for record in latest),
            "last": max((record.started_at for record in latest), default=None),
            "chosen": chosen,
            "history": self._history.list(chosen or None, _HISTORY_SHOWN),
            "session": session,
            "steps": _steps(session) if session else (),
            "failure": self._latest_failure(),
            "quick": sum(drill.quick for drill in catalogue.list_drills()),
            "scenarios": [
                one.value for one in Scenario if any(drill.scenario is one for drill in catalogue.list_drills())
            ],
        }

    def _latest_failure(self) -> Event | None:
        """The event that says why the latest drills did not finish, if they failed recently."""
        found = self._app.timeline.list_newest_of_kind(
            DrillConcluded.kind, self._app.clock.now() - _FAILURE_SHOWN_FOR, 1
        )
        return found[0][1] if found and found[0][1].data.get("message") else None

    async def begin(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        # Redacted like every text that people type: they paste commands with keys in them.
        game_day = self._app.redactor.text(form.text("game_day", required=False))[:100]
        await self._sessions.begin(_names(form.text("drills")), principal.name, game_day)
        return "/drills", "drills-begun"

    async def stop(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        await anyio.to_thread.run_sync(self._sessions.stop, principal.name)
        return "/drills", "drills-stopped"


def _steps(session: DrillSession) -> list[SessionDrill]:
    results = {record.drill: record for record in session.results}
    left_out = session.left_out or {}
    return [SessionDrill(name, results.get(name), left_out.get(name, "")) for name in session.drills]


def _names(choice: str) -> list[str]:
    """The names that an option of the form stands for. The name of a drill or of a scenario stands for itself."""
    if choice in (_QUICK, _ALL):
        return [drill.name for drill in catalogue.list_drills() if drill.quick or choice == _ALL]
    return [choice]

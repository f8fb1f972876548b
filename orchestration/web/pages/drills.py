"""Drills: what is rehearsed, what each expects, what is held now, and how it went over time."""

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
from orchestration.security.principal import Principal, Role
from orchestration.storage.drills import DrillHistory, DrillRecord
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_SHOWN = 100
_LATELY = 12
_QUICK, _ALL = "quick", "all"
_TOLD = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DrillRowView:
    """A drill with its last results, the newest first; `impossible` says why it cannot be held here, else nothing."""

    drill: Drill
    impossible: str
    results: tuple[DrillRecord, ...]


@dataclass(frozen=True, slots=True)
class StepLine:
    """A drill of the set that is under way, with its result where it has one; `left_out` says why it is not held."""

    drill: str
    result: DrillRecord | None
    left_out: str

    @property
    def detected(self) -> float | None:
        return self.result.figures.get("detected_after") if self.result else None


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms."""
    drills = _Drills(site)
    deeds = {"begin": (drills.begin, Role.OPERATOR), "stop": (drills.stop, Role.OPERATOR)}
    return site.page(SitePage("/drills", "drills.html", "drills", drills.read, ("drill",), stales=True), deeds)


class _Drills:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._history = DrillHistory(site.app.database)
        self._room = DrillSessions(site.app)

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, request.query_params.get("drill", ""))

    def _read(self, chosen: str) -> Values:
        names = [drill.name for drill in catalogue.ALL]
        if chosen and chosen not in names:
            raise UsageError(f"expected a drill ({', '.join(names)}), got '{chosen[:64]}'; choose one of the list")
        lines = [
            DrillRowView(drill, drill.impossible(), self._history.list(drill.name, _LATELY)) for drill in catalogue.ALL
        ]
        session = self._room.under_way()
        held = [line.results[0] for line in lines if line.results]
        return {
            "lines": lines,
            "held": len(held),
            "passed": sum(record.passed for record in held),
            "last": max((record.started_at for record in held), default=None),
            "chosen": chosen,
            "history": self._history.list(chosen or None, _SHOWN),
            "session": session,
            "steps": _steps(session) if session else (),
            "trouble": self._trouble(),
            "quick": sum(drill.quick for drill in catalogue.ALL),
            "scenarios": [one.value for one in Scenario if any(drill.scenario is one for drill in catalogue.ALL)],
        }

    def _trouble(self) -> Event | None:
        """Why the last set that was begun here could not be held, if that is so and was lately."""
        found = self._app.timeline.list_newest_of_kind("drill.concluded", self._app.clock.now() - _TOLD, 1)
        return found[0][1] if found and found[0][1].data.get("message") else None

    async def begin(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        game_day = self._app.redactor.text(form.text("game_day", needed=False))[:100]
        await self._room.begin(_names(form.text("drills")), principal.name, game_day)
        return "/drills", "drills-begun"

    async def stop(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        await anyio.to_thread.run_sync(self._room.stop, principal.name)
        return "/drills", "drills-stopped"


def _steps(session: DrillSession) -> list[StepLine]:
    results = {record.drill: record for record in session.results}
    left_out = session.left_out or {}
    return [StepLine(name, results.get(name), left_out.get(name, "")) for name in session.drills]


def _names(choice: str) -> list[str]:
    """What a choice of the page stands for; a drill's or a scenario's name for itself."""
    if choice in (_QUICK, _ALL):
        return [drill.name for drill in catalogue.ALL if drill.quick or choice == _ALL]
    return [choice]

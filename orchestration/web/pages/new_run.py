"""The page that starts a run, and shows the command that would start the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.agents.workspace import checked_root
from orchestration.domain.goal import checked_goal
from orchestration.domain.run_spec import PRIORITIES, RunSpec
from orchestration.errors import NotFoundError, UsageError
from orchestration.runs.check_command import check_words
from orchestration.security.principal import Principal, Role
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_MINUTE = 60.0
_WORKSPACES_SUGGESTED = 8
_RUNS_READ = 50
_PLACES: Mapping[str, bool | None] = {"": None, "worktree": False, "in-place": True}


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its form."""
    view = _NewRun(site)
    page = SitePage("/runs/new", "new_run.html", "runs", view.read, role=Role.OPERATOR)
    return site.page(page, {"start": (view.start, Role.OPERATOR), "preview": (view.preview, Role.OPERATOR)})


class _NewRun:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        configuration = self._app.configuration
        return {
            "agents": configuration.agents,
            "providers": list(configuration.runtime.providers),
            "models": {name: [one.name for one in found] for name, found in configuration.models.items() if found},
            "default_provider": configuration.runtime.default_provider,
            "default_minutes": (configuration.runtime.limits.seconds or 0) / _MINUTE,
            "priorities": PRIORITIES,
            "workspaces": await anyio.to_thread.run_sync(self._workspaces),
            # What was filled in, when the form comes back with a problem or with its command.
            "entered": getattr(request.state, "entered", {}),
            "command": "",
            "incomplete": "",
        }

    def _workspaces(self) -> list[str]:
        """Where the last runs were to work, the newest first, then the project itself."""
        recent = (run.workspace for run in self._app.runs.list(limit=_RUNS_READ))
        found = list(dict.fromkeys([*recent, str(self._app.root)]))
        return found[:_WORKSPACES_SUGGESTED]

    async def preview(self, request: Request, form: Form, _principal: Principal) -> Values:
        # What is still wrong is no error here: somebody is filling in the form.
        try:
            return {"command": (await self._request(request, form)).command()}
        except UsageError as error:
            return {"incomplete": str(error)}

    async def start(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        wanted = await self._request(request, form)
        origin = f"dashboard: {principal.name}"
        try:
            run = await self._app.launcher.start(wanted.goal, wanted.workspace, origin=origin, **wanted.arguments())
        except NotFoundError as error:
            # An agent that is not there: the page with what was filled in says so, and not a page without it.
            raise UsageError(str(error)) from error
        return f"/runs/{run.id}", "run-started"

    async def _request(self, request: Request, form: Form) -> RunSpec:
        request.state.entered = form.entered
        return await anyio.to_thread.run_sync(self._read, form)

    def _read(self, form: Form) -> RunSpec:
        place = form.text("place", required=False)
        if place not in _PLACES:
            raise UsageError(f"expected one of worktree and in-place in 'place', got '{place[:20]}'")
        goal = checked_goal(form.text("goal", required=False))
        workspace = checked_root(Path(form.text("workspace")), self._app.state_folder)
        priority = form.text("priority")
        if priority not in PRIORITIES:
            raise UsageError(f"expected one of {', '.join(PRIORITIES)} in 'priority', got '{priority[:20]}'")
        provider, model = _route(form)
        return RunSpec(
            goal=goal,
            workspace=workspace,
            agent=form.text("agent", required=False) or None,
            provider=provider,
            model=model,
            priority=priority,
            checks=[check_words(line, workspace) for line in _lines(form, "checks")],
            approve=form.text("approve", required=False).replace(",", " ").split(),
            **_limits(form),
            in_place=_PLACES[place],
        )


def _route(form: Form) -> tuple[str | None, str | None]:
    """The provider and the model. A model names its provider as well: `ollama/small`."""
    provider = form.text("provider", required=False) or None
    owner, _, model = form.text("model", required=False).partition("/")
    if model and provider not in (None, owner):
        raise UsageError(
            f"The model {model} is one of {owner}, and the provider chosen is {provider}. Choose one of both."
        )
    return (owner, model) if model else (provider, None)


def _lines(form: Form, name: str) -> list[str]:
    return [line.strip() for line in form.text(name, required=False).splitlines() if line.strip()]


def _limits(form: Form) -> dict[str, Any]:
    """The limits that are filled in."""
    found: dict[str, Any] = {}
    if form.text("minutes", required=False):
        found["seconds"] = form.amount("minutes", least=1, most=100_000) * _MINUTE
    if form.text("tokens", required=False):
        found["tokens"] = form.whole("tokens", 1, 10**12)
    if form.text("usd", required=False):
        found["usd"] = form.amount("usd", least=0.01, most=1_000_000)
    return found

"""The page of one call: what was asked and answered. The run's page shows it where the call's row is opened."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orchestration.errors import NotFoundError
from orchestration.runs.run_calls import CallMessage, CallState
from orchestration.security.principal import Role
from orchestration.web.pages.formatting import SHOWN_CHARACTERS
from orchestration.web.pages.site import DashboardSite, SitePage, Values, principal_of


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page, and whole texts."""
    view = _Call(site)
    page = SitePage("/runs/{run}/calls/{call:path}", "call.html", "runs", view.read)
    return [*site.page(page), Route("/runs/{run}/texts/{digest}", view.text)]


# A page holds so much of a prompt; of what is before it there are links.
_PROMPT_CHARACTERS = 60_000


class _Call:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        run_id, name = request.path_params["run"], request.path_params["call"]
        whole = request.query_params.get("prompt") == "whole"
        return await anyio.to_thread.run_sync(self._read, run_id, name, whole)

    def _read(self, run_id: str, name: str, whole: bool) -> Values:
        app = self._app
        run = app.runs.get(run_id)
        call = app.calls.read(run, name, app.clock.now(), whole=whole)
        running = call.state is CallState.RUNNING
        agent_run_id = call.key.rpartition("/")[0]
        beats = app.timeline.list_heartbeats(run.id) if running else ()
        return {
            "run": run,
            "call": call,
            "short": call.key.removeprefix(f"{run.id}."),
            "running": running,
            "beat": next((beat for beat in beats if beat.agent_run_id == agent_run_id), None),
            "repeated": sum(message.repeated for message in call.messages),
            "whole": whole,
            "shown_from": _shown_from(call.messages),
        }

    async def text(self, request: Request) -> Response:
        """Serve a whole text, as plain text: it was written by a model or a command."""
        principal = principal_of(request)
        if principal is None or not principal.may(Role.VIEWER, "runs"):
            return PlainTextResponse("Sign in first.", 403 if principal else 401)
        try:
            text = await anyio.to_thread.run_sync(self._text, request.path_params["run"], request.path_params["digest"])
        except NotFoundError as error:
            return PlainTextResponse(str(error), 404)
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        return PlainTextResponse(text, headers=headers)

    def _text(self, run_id: str, digest: str) -> str:
        return self._app.calls.read_text(self._app.runs.get(run_id), digest)


def _shown_from(messages: Sequence[CallMessage]) -> int:
    """The first message that is shown with its text: the last ones say most."""
    left = _PROMPT_CHARACTERS
    for place in range(len(messages) - 1, -1, -1):
        left -= min(messages[place].size, SHOWN_CHARACTERS)
        if left < 0:
            return place + 1
    return 0

"""One run: its waterfall, what it wrote, what it asks, and the handles to steer it."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orchestration.app.application import Application
from orchestration.app.event_text import event_text
from orchestration.domain.run_status import RunStatus
from orchestration.errors import NotFoundError
from orchestration.events.runs import ArtifactRead
from orchestration.security.principal import Principal, Role
from orchestration.storage.artifacts import ArtifactRecord
from orchestration.storage.runs import Run
from orchestration.web.pages.forms import Form, whole_number
from orchestration.web.pages.runs import is_rehearsed
from orchestration.web.pages.site import DashboardSite, SitePage, Values, principal_of
from orchestration.web.pages.waterfall import AGENT_KINDS, waterfall

_AT_ONCE = 300
_MOST_CHECKED_BYTES = 20_000_000
_RESUMABLE = (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.CANCELLED)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page, and the files that the run has written."""
    run = _Run(site)
    deeds = {
        "cancel": (run.cancel, Role.OPERATOR),
        "resume": (run.resume, Role.OPERATOR),
        "fork": (run.fork, Role.OPERATOR),
        "approve": (run.approve, Role.RESPONDER),
        "deny": (run.deny, Role.RESPONDER),
    }
    page = site.page(SitePage("/runs/{run}", "run.html", "runs", run.read, ("run/ID",)), deeds)
    return [*page, Route("/runs/{run}/artifacts/{name}", run.artifact)]


class _Run:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        run = await self._app.get_run(request.path_params["run"])
        before = whole_number(request.query_params.get("before", ""))
        values = await anyio.to_thread.run_sync(self._read, run, before)
        attended = run.status.ended or await self._app.placement.is_attended(run.id)
        parts = await self._app.control.parts(run.id)
        resumable = run.status in _RESUMABLE or not attended
        return {**values, "attended": attended, "parts": parts, "resumable": resumable}

    def _read(self, run: Run, before: int | None) -> Values:
        app = self._app
        events = app.timeline.list_newest(run.id, before=before, limit=_AT_ONCE)
        agents = app.timeline.list_of_kinds([run.id], AGENT_KINDS)[run.id]
        fall = waterfall(agents, events, run.started_at or run.created_at, run.finished_at or app.clock.now())
        working = [lane.id for lane in fall.lanes if lane.ended is None]
        artifacts = app.artifacts.list(run.id)
        return {
            "run": run,
            "fall": fall,
            "rehearsed": is_rehearsed(run) or any(event.data.get("rehearsal") for _, event in events),
            "beats": [beat for beat in app.timeline.list_heartbeats(run.id) if beat.agent_run_id in working],
            "artifacts": artifacts,
            "altered": self._altered(run, artifacts),
            "questions": app.approvals.list_open(run.id),
            "lines": [(event, line) for _, event in reversed(events) if (line := event_text(event))],
            "earlier": events[0][0] if len(events) == _AT_ONCE else None,
            "paged": before is not None,
        }

    def _altered(self, run: Run, artifacts: Sequence[ArtifactRecord]) -> dict[str, str] | None:
        """Which files are not as they were written; None where looking would take too long."""
        if sum(one.size for one in artifacts) > _MOST_CHECKED_BYTES:
            return None
        return dict(self._app.artifacts.verify(run.id))

    async def artifact(self, request: Request) -> Response:
        """A file as text, whatever is in it: a browser must not take it for a page. An event says who has read it."""
        principal = principal_of(request)
        if principal is None or not principal.may(Role.VIEWER, "runs"):
            return PlainTextResponse("sign in first", 403 if principal else 401)
        run_id, name = request.path_params["run"], request.path_params["name"]
        try:
            data = await anyio.to_thread.run_sync(self._bytes, run_id, name)
        except (NotFoundError, OSError):
            return PlainTextResponse("there is no such file any more", 404)
        self._app.bus.publish(ArtifactRead(name=name), run_id=run_id, actor=principal.name)
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        return Response(data, media_type="text/plain; charset=utf-8", headers=headers)

    def _bytes(self, run_id: str, name: str) -> bytes:
        if name not in [record.name for record in self._app.artifacts.list(run_id)]:
            raise NotFoundError(f"expected a file that {run_id} wrote, got '{name}'")
        return self._app.artifacts.path(run_id, name).read_bytes()

    async def cancel(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        reason = form.text("reason", needed=False) or f"cancelled by {principal.name}"
        run = await self._app.control.cancel(request.path_params["run"], reason)
        return f"/runs/{run.id}", "run-cancelled"

    async def resume(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        run = await self._app.launcher.resume(request.path_params["run"], queue=None)
        return f"/runs/{run.id}", "run-resumed"

    async def fork(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        run = await self._app.launcher.fork(request.path_params["run"], form.whole("part", 0, 1_000_000), queue=None)
        return f"/runs/{run.id}", "run-forked"

    async def approve(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        return await self._decide(request, form, principal, approved=True)

    async def deny(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        return await self._decide(request, form, principal, approved=False)

    async def _decide(self, request: Request, form: Form, principal: Principal, *, approved: bool) -> tuple[str, str]:
        run_id = request.path_params["run"]
        await decide(self._app, form, principal, run_id, approved=approved)
        return f"/runs/{run_id}", "approved" if approved else "denied"


async def decide(app: Application, form: Form, principal: Principal, subject: str, *, approved: bool) -> None:
    """Answer one question about a run or an incident. Raises ConflictError when it was answered already, and
    NotFoundError when that subject has no such question."""
    name, reason = form.text("approval"), form.text("reason", needed=False)

    def work() -> None:
        question = app.approvals.get(name)
        if question.subject != subject:
            raise NotFoundError(f"expected a question about {subject}, got '{name}'")
        app.answer(question, approved=approved, by=principal.name, reason=reason)

    await anyio.to_thread.run_sync(work)

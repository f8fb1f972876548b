"""The page of one run: how it came out, what it changed, its calls, and the forms that control it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orchestration.app.application import Application
from orchestration.commands.inputs import Choices
from orchestration.domain.run_status import RunStatus
from orchestration.errors import NotFoundError
from orchestration.events.render import followed_line
from orchestration.events.runs import ArtifactRead
from orchestration.runs.activity_text import is_fresh
from orchestration.runs.approval_text import approval_effect
from orchestration.runs.commands.base import RunCommand, ShownFor
from orchestration.runs.commands.table import RUN_COMMANDS
from orchestration.runs.next_steps import next_steps
from orchestration.runs.plan_progress import PLAN_KINDS, PlanProgress
from orchestration.runs.run_time import TIME_KINDS, run_time
from orchestration.runs.waterfall import AGENT_KINDS, waterfall
from orchestration.security.principal import Principal, Role
from orchestration.storage.artifacts import ArtifactRecord
from orchestration.storage.call_records import CallKind, CallRecord
from orchestration.storage.runs import Run
from orchestration.web.approval_rights import check_may_answer
from orchestration.web.pages.command_forms import command_from, forms_by_name, forms_for
from orchestration.web.pages.forms import Form, whole_number
from orchestration.web.pages.runs import is_rehearsed
from orchestration.web.pages.site import DashboardSite, PageAction, SitePage, Values, principal_of

# With them, the page and what it loads stay below 150 kB.
# Read at once: each reading goes through all events of the run.
_KINDS = frozenset({*AGENT_KINDS, *TIME_KINDS, *PLAN_KINDS})
_EVENTS_SHOWN = 100
# Hashing this much takes well under a tenth of a second. More would delay every refresh of the page.
_MAX_VERIFIED_BYTES = 20_000_000

_FORKS_SHOWN = 10
_LINES_OF_A_CHECK = 60

_FORMS = forms_by_name(RUN_COMMANDS)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms, and the artifacts of the run."""
    view = _Run(site)
    actions: dict[str, tuple[PageAction, Role]] = {
        **{name: (partial(view.give, command), command.spec.role) for name, command in _FORMS.items()},
        "approve": (view.approve, Role.OPERATOR),
        "deny": (view.deny, Role.OPERATOR),
    }
    # Only events of this run refresh the page: with many active runs, every page would otherwise reload all the time.
    page = site.page(SitePage("/runs/{run}", "run.html", "runs", view.read, ("run/ID",)), actions)
    return [*page, Route("/runs/{run}/artifacts/{name}", view.artifact)]


@dataclass(frozen=True, slots=True)
class RunCheckResult:
    """How a check of a run ended. `output` is the end of what it printed, if it failed."""

    command: str
    exit_code: int | None
    seconds: float
    call: str
    output: str


class _Run:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        run = await self._app.get_run(request.path_params["run"])
        before = whole_number(request.query_params.get("before", ""))
        values = await anyio.to_thread.run_sync(self._read, run, before)
        # A run whose process has died still has the status `running`. It can be resumed although its status does not
        # say so.
        attended = run.status.ended or await self._app.placement.is_attended(run.id)
        parts = await self._app.control.parts(run.id)
        resumable = run.status.resumable or not attended
        shown: Mapping[Enum, bool] = {
            ShownFor.UNFINISHED: not run.status.ended,
            ShownFor.RESUMABLE: resumable and run.status is not RunStatus.SUCCEEDED,
            ShownFor.FORKABLE: bool(parts),
            ShownFor.CHANGED: run.status.ended and values["worktree"] is not None,
        }
        choices = {Choices.PARTS: [(str(part.number), f"{part.number}: {part.child_id}") for part in reversed(parts)]}
        forms = forms_for(run, _FORMS.values(), lambda state: shown.get(state, False), choices)
        fork_at = {
            lane.id: part.number
            for part in parts
            for lane in values["fall"].lanes
            if lane.id == part.child_id or lane.id.startswith(f"{part.child_id}.")
        }
        about_changes = [form for form in forms if form.page.shown is ShownFor.CHANGED]
        return {
            **values,
            "attended": attended,
            "parts": parts,
            "resumable": resumable,
            "forms": [form for form in forms if form not in about_changes],
            "about_changes": about_changes,
            "fork_at": fork_at,
        }

    def _read(self, run: Run, before: int | None) -> Values:
        app, now = self._app, self._app.clock.now()
        events = app.timeline.list_newest(run.id, before=before, limit=_EVENTS_SHOWN)
        known = app.timeline.list_of_kinds([run.id], _KINDS)[run.id]
        agents = [event for event in known if event.kind in AGENT_KINDS]
        began, ended = run.started_at or run.created_at, run.finished_at or now
        fall = waterfall(agents, events, began, ended, () if before else app.calls.records.list_open(run.id))
        active = [lane.id for lane in fall.lanes if lane.ended is None]
        artifacts, questions = app.artifacts.list(run.id), app.approvals.list_open(run.id)
        return {
            "run": run,
            "fall": fall,
            "time": run_time(run, [event for event in known if event.kind in TIME_KINDS], now),
            "checks": self._checks(run),
            "worktree": app.workspaces.worktrees.record(run.id) if run.has_worktree else None,
            "forks": app.runs.list_forks(run, _FORKS_SHOWN),
            "effects": {one.id: approval_effect(one, run, app.configuration) for one in questions},
            "rehearsed": is_rehearsed(run) or any(event.data.get("rehearsal") for _, event in events),
            "heartbeats": [
                beat
                for beat in (() if run.status.ended else app.timeline.list_heartbeats(run.id))
                if beat.agent_run_id in active or is_fresh(beat, now)
            ],
            "plan": PlanProgress.of([event for event in known if event.kind in PLAN_KINDS]),
            "artifacts": artifacts,
            "altered": self._altered(run, artifacts),
            "questions": questions,
            "next_steps": next_steps(run, app.artifacts_of(run)),
            "lines": [(event, line) for _, event in reversed(events) if (line := followed_line(event))],
            "most": _EVENTS_SHOWN,
            "earlier": events[0][0] if len(events) == _EVENTS_SHOWN else None,
            "paged": before is not None,
        }

    def _checks(self, run: Run) -> list[RunCheckResult]:
        """The last result of each check of the run."""
        app = self._app
        last = {
            tuple(one.content.get("command", ())): one for one in app.calls.records.list_of_kind(run.id, CallKind.CHECK)
        }
        return [self._check_result(run, record) for record in last.values() if record.ended_at is not None]

    def _check_result(self, run: Run, record: CallRecord) -> RunCheckResult:
        code = record.content.get("exit_code")
        digest = (record.content.get("output") or {}).get("digest")
        # Only what went wrong is opened at once.
        output = self._app.calls.records.read_texts(run.id, [digest]).get(digest, "") if digest and code != 0 else ""
        ended = record.ended_at or record.started_at
        return RunCheckResult(
            " ".join(record.content.get("command", ())),
            code,
            (ended - record.started_at).total_seconds(),
            record.key.removeprefix(f"{run.id}."),
            "\n".join(output.rstrip().splitlines()[-_LINES_OF_A_CHECK:]),
        )

    def _altered(self, run: Run, artifacts: Sequence[ArtifactRecord]) -> dict[str, str] | None:
        """Artifacts that were changed since they were written, each with what is wrong; None if checking takes too
        long."""
        if sum(one.size for one in artifacts) > _MAX_VERIFIED_BYTES:
            return None
        return dict(self._app.artifacts.verify(run.id))

    async def artifact(self, request: Request) -> Response:
        """Serve an artifact as plain text, whatever its type, and record who has read it.

        An artifact is written by a model. Served as HTML or SVG it could run scripts in the dashboard's origin;
        `nosniff` keeps browsers from guessing a type, and `sandbox` takes the origin away should one do so anyway."""
        principal = principal_of(request)
        if principal is None or not principal.may(Role.VIEWER, "runs"):
            return PlainTextResponse("Sign in first.", 403 if principal else 401)
        # The name is looked up in the records and never joined to a path, so it cannot lead out of the run's folder.
        run_id, name = request.path_params["run"], request.path_params["name"]
        try:
            data = await anyio.to_thread.run_sync(self._bytes, run_id, name)
        except (NotFoundError, OSError):
            return PlainTextResponse("This artifact does not exist.", 404)
        self._app.bus.publish(ArtifactRead(name=name), run_id=run_id, actor=principal.name)
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        return Response(data, media_type="text/plain; charset=utf-8", headers=headers)

    def _bytes(self, run_id: str, name: str) -> bytes:
        if name not in [record.name for record in self._app.artifacts.list(run_id)]:
            raise NotFoundError(f"Run {run_id} has no artifact '{name}'.")
        return self._app.artifacts.path(run_id, name).read_bytes()

    async def give(
        self, command: type[RunCommand], request: Request, form: Form, principal: Principal
    ) -> tuple[str, str]:
        wanted = command_from(command, form)
        changed = await self._app.run_service.execute(request.path_params["run"], wanted, by=principal.name)
        return f"/runs/{changed.id}", command.spec.page.done if command.spec.page else ""

    async def approve(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        return await self._decide(request, form, principal, approved=True)

    async def deny(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        return await self._decide(request, form, principal, approved=False)

    async def _decide(self, request: Request, form: Form, principal: Principal, *, approved: bool) -> tuple[str, str]:
        run_id = request.path_params["run"]
        await decide(self._app, form, principal, run_id, approved=approved)
        return f"/runs/{run_id}", "approved" if approved else "denied"


async def decide(app: Application, form: Form, principal: Principal, subject: str, *, approved: bool) -> None:
    """Answer one question of a run or an incident. Raises ConflictError if it is already answered, NotFoundError if the
    subject has no such question, and NotAllowedError if the caller may not answer it."""
    name, reason = form.text("approval"), form.text("reason", required=False)

    def work() -> None:
        question = app.approvals.get(name)
        if question.subject != subject:
            raise NotFoundError(f"There is no question '{name}' about {subject}.")
        check_may_answer(principal, question)
        app.answer(question, approved=approved, by=principal.name, reason=reason)

    await anyio.to_thread.run_sync(work)

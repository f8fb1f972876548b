"""One incident as a situation room: what broke and what to do first; then its records; and a form for every command."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app import isolation
from orchestration.app.action_undo import undo_action
from orchestration.app.dry_run import preview
from orchestration.app.incident_options import offered_options
from orchestration.app.tickets import tickets_of
from orchestration.commands.inputs import Choices
from orchestration.config.escalation import DEFAULT_PATH
from orchestration.config.isolation import require_not_isolated
from orchestration.config.response import ResponseSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import NotFoundError
from orchestration.incidents import notices, resolution
from orchestration.incidents.brief import briefing
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.escalation_routes import describe_path
from orchestration.incidents.folded_timeline import fold
from orchestration.incidents.model import Incident, IncidentRefusedError, ReviewField, person
from orchestration.incidents.ownership import ownership
from orchestration.incidents.review import entry_text
from orchestration.incidents.reviews.document import draft
from orchestration.incidents.reviews.dossier import ReviewDossier
from orchestration.incidents.reviews.suggestions import current_text, suggestion
from orchestration.runs.commands.base import RunCommand
from orchestration.runs.commands.pause import PauseRun
from orchestration.runs.commands.resume import ResumeRun
from orchestration.security.principal import Principal, Role
from orchestration.storage.incidents.table import IncidentRow
from orchestration.web.pages.command_forms import command_from
from orchestration.web.pages.formatting import first_line, severity_words
from orchestration.web.pages.forms import Form
from orchestration.web.pages.incident_forms import FORMS, incident_forms
from orchestration.web.pages.incidents import SUBJECTS, card_of
from orchestration.web.pages.run import decide
from orchestration.web.pages.site import DashboardSite, PageAction, SitePage, Values
from orchestration.web.pages.situation import situation

_LEVELS = {1: "on-call engineer", 2: "technical lead", 3: "project manager", 4: "security team"}
# Room for a title in a list of choices.
_TITLE_WIDTH = 60
_REVIEWABLE = (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW, IncidentStatus.CLOSED)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms."""
    view = _Incident(site)
    actions: dict[str, tuple[PageAction, Role]] = {
        **{name: (partial(view.give, command), command.spec.role) for name, command in FORMS.items()},
        "approve": (partial(view.decide, True), Role.RESPONDER),
        "deny": (partial(view.decide, False), Role.RESPONDER),
        "dry-run": (view.dry_run, Role.RESPONDER),
        "review-preview": (view.preview_review, Role.RESPONDER),
        "probe": (view.probe, Role.RESPONDER),
        "resume-run": (partial(view.steer, ResumeRun(), "Resume"), Role.OPERATOR),
        "pause-run": (partial(view.steer, PauseRun(), "Pause"), Role.OPERATOR),
        "undo": (view.undo, Role.OPERATOR),
        "undo-action": (view.undo_action, Role.RESPONDER),
        "isolate": (view.isolate, Role.ADMIN),
    }
    subjects = (*SUBJECTS, "action", "override")
    page = SitePage("/incidents/{incident}", "incident.html", "incidents", view.read, subjects, refreshes=True)
    return site.page(page, actions)


class _Incident:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._service = site.app.incident_service

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, request.path_params["incident"])

    def _read(self, name: str) -> Values:
        found = self._service.records.get(name)
        # Everything that is recorded, read once: the review, which is a part of the page, needs it all.
        dossier = self._app.reviews.dossier(found)
        return {**self._first_screen(found, dossier), **self._records(found, dossier)}

    def _first_screen(self, found: Incident, dossier: ReviewDossier) -> dict[str, Any]:
        """What a person needs to know and to do first."""
        questions = self._app.approvals.list_open(found.id)
        response = dossier.responses[0][0] if dossier.responses else None
        asked = [one.question for one in questions]
        options = offered_options(self._app, found, response)
        taken = (action for _, actions in dossier.responses for action in actions)
        found_situation = situation(self._app, found, taken)
        return {
            "incident": found,
            "brief": briefing(found, dossier.entries),
            "hypotheses": dossier.hypotheses if found.likely_causes else (),
            "questions": questions,
            "ownership": ownership(found, dossier.entries, response, asked),
            "estimate": notices.estimate(found, dossier.now),
            "escalation_path": describe_path(found, dossier.settings),
            "options": options,
            # Only one that a likely cause points to: the order of the playbook alone recommends nothing.
            "next_option": next((option for option in options if option.pointed and not option.tried), None),
            "situation": found_situation,
            "undo_of": {one.action.key: one for one in found_situation.undoable},
            "alerts": dossier.alerts,
            "plan": None,
            "preview": None,
        }

    def _records(self, found: Incident, dossier: ReviewDossier) -> dict[str, Any]:
        """Clocks, timeline, messages, duties and the review."""
        records, entries = self._service.records, reversed(fold(dossier.entries))
        others = records.table.list(is_open=True, limit=50)
        return {
            "card": card_of(records, found, dossier.now),
            "entries": [(entry, entry_text(entry), entry.data.get("evidence") or ()) for entry in entries],
            "blockers": resolution.blockers(found) if found.status.is_open else (),
            "timers": records.table.list_timers(found.id),
            "responses": dossier.responses,
            "messages": dossier.messages,
            "tickets": tickets_of(self._app, found.id),
            "forms": incident_forms(found, _choices(found, dossier.settings, others)),
            "reviewable": found.status in _REVIEWABLE or found.status.is_open,
            "review_parts": _review_parts(dossier, found),
            "missing": missing_fields(found),
            # Without its first line, the title: the page has that already.
            "draft": draft(dossier).partition("\n")[2],
        }

    async def give(
        self, command: type[IncidentCommand], request: Request, form: Form, principal: Principal
    ) -> tuple[str, str]:
        name, wanted = request.path_params["incident"], command_from(command, form)
        changed = await anyio.to_thread.run_sync(self._service.execute, name, person(principal.name), wanted)
        return f"/incidents/{changed.id}", command.spec.page.done if command.spec.page else ""

    async def decide(self, approved: bool, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        """Answer a question; with the field `acknowledge` the incident is acknowledged as well."""
        name = request.path_params["incident"]
        await decide(self._app, form, principal, name, approved=approved)
        if form.text("acknowledge", required=False):
            # Somebody else may have been quicker; the answer counts all the same.
            with contextlib.suppress(IncidentRefusedError):
                await anyio.to_thread.run_sync(self._service.execute, name, person(principal.name), Acknowledge())
            return f"/incidents/{name}", "approved-and-acknowledged"
        return f"/incidents/{name}", "approved" if approved else "denied"

    async def dry_run(self, request: Request, form: Form, principal: Principal) -> Values:  # noqa: ARG002
        return {"plan": await preview(self._app, form.text("playbook"), request.path_params["incident"])}

    async def preview_review(self, request: Request, form: Form, principal: Principal) -> Values:  # noqa: ARG002
        return {"preview": (form.text("field"), form.text("text"))}

    async def probe(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        provider = form.text("provider")
        if self._app.configuration.provider(provider) is None:
            raise NotFoundError(f"There is no provider '{provider[:64]}'.")
        require_not_isolated(self._app.store, "probe a provider")
        result = await self._app.gateway.probe(provider)
        return f"/incidents/{request.path_params['incident']}", "answers" if result.ok else "silent"

    async def steer(
        self, command: RunCommand, verb: str, request: Request, form: Form, principal: Principal
    ) -> tuple[str, str]:
        """Resume or pause a run of the incident, and record that as an attempt."""
        name, run_id = request.path_params["incident"], form.text("run")
        incident = await anyio.to_thread.run_sync(self._service.records.get, name)
        if run_id not in incident.blast_radius.runs:
            raise NotFoundError(f"The run '{run_id[:64]}' is none of those that {name} affects.")
        changed = await self._app.run_service.execute(run_id, command, by=principal.name)
        with contextlib.suppress(IncidentRefusedError):
            record = BeginMitigation(f"{verb} {changed.id}")
            await anyio.to_thread.run_sync(self._service.execute, name, person(principal.name), record)
        return f"/incidents/{name}", "resumed-for-incident" if verb == "Resume" else "paused-for-incident"

    # On the event loop's thread, as below: the store calls its subscribers there.
    async def undo(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        self._app.store.remove_override(form.text("override"), principal.name, form.text("reason", required=False))
        return f"/incidents/{request.path_params['incident']}", "undone"

    async def undo_action(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        name = request.path_params["incident"]
        await undo_action(self._app, name, form.text("action"), principal.name)
        return f"/incidents/{name}", "action-undone"

    async def isolate(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        name = request.path_params["incident"]
        isolation.isolate(self._app, reason=form.text("reason"), actor=principal.name, incident=name)
        return f"/incidents/{name}", "isolated"


@dataclass(frozen=True, slots=True)
class ReviewPart:
    """A part of the review: its text now, the person who wrote it, and what the records say if that differs."""

    field: ReviewField
    text: str
    author: str
    newer: str


def _review_parts(dossier: ReviewDossier, incident: Incident) -> list[ReviewPart]:
    fields = [
        field
        for field in ReviewField
        if field is not ReviewField.SECURITY or incident.scenario is Scenario.SECURITY_ALERT
    ]
    return [_review_part(dossier, field) for field in fields]


def _review_part(dossier: ReviewDossier, field: ReviewField) -> ReviewPart:
    text, author, newer = current_text(dossier, field), dossier.written_by(field), suggestion(dossier, field)
    return ReviewPart(field, text, author, newer if author and newer != text else "")


def _paths(settings: ResponseSettings) -> Sequence[str]:
    return (DEFAULT_PATH, *settings.escalation_paths)


def _choices(
    incident: Incident, settings: ResponseSettings, others: Sequence[IncidentRow]
) -> dict[Choices, list[tuple[str, str]]]:
    severities = [one for one in Severity if one is not incident.severity]
    return {
        Choices.CONTACTS: [(one.id, one.name or one.id) for one in settings.contacts],
        Choices.LEVELS: [(str(number), f"{number}: {title}") for number, title in _LEVELS.items()],
        Choices.PATHS: [(name, name) for name in _paths(settings) if name != incident.escalation_path],
        Choices.SEVERITIES: [(one.value, severity_words(one)) for one in severities],
        Choices.OTHER_INCIDENTS: [
            (row.id, f"{row.severity.value} {first_line(row.title, _TITLE_WIDTH)}")
            for row in others
            if row.id != incident.id
        ],
    }

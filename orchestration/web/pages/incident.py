"""One incident: everything that a person who was just woken needs on one page, and a form for every command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.commands.inputs import Choices
from orchestration.config.response import ResponseSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import notices, resolution
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.folded_timeline import fold
from orchestration.incidents.model import Incident, ReviewField, person
from orchestration.incidents.ownership import ownership
from orchestration.incidents.review import entry_text
from orchestration.incidents.reviews.document import draft
from orchestration.incidents.reviews.dossier import ReviewDossier
from orchestration.incidents.reviews.suggestions import current_text, suggestion
from orchestration.security.principal import Principal, Role
from orchestration.storage.incidents.table import IncidentRow
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.web.pages.command_forms import command_from
from orchestration.web.pages.formatting import first_line, severity_words
from orchestration.web.pages.forms import Form
from orchestration.web.pages.incident_forms import FORMS, incident_forms
from orchestration.web.pages.incidents import SUBJECTS, card_of
from orchestration.web.pages.playbooks import runs_on
from orchestration.web.pages.run import decide
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_LEVELS = {1: "on-call engineer", 2: "technical lead", 3: "project manager", 4: "security team"}
# Room for a title in a list of choices.
_TITLE_WIDTH = 60
_REVIEWABLE = (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW, IncidentStatus.CLOSED)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms."""
    view = _Incident(site)
    actions = {name: (partial(view.give, command), command.spec.role) for name, command in FORMS.items()}
    actions["approve"] = (partial(view.decide, True), Role.RESPONDER)
    actions["deny"] = (partial(view.decide, False), Role.RESPONDER)
    page = SitePage(
        "/incidents/{incident}", "incident.html", "incidents", view.read, (*SUBJECTS, "action"), refreshes=True
    )
    return site.page(page, actions)


class _Incident:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._service = site.app.incident_service
        self._playbooks = PlaybookRecords(site.app.database)

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, request.path_params["incident"])

    def _read(self, name: str) -> Values:
        records, now = self._service.records, self._app.clock.now()
        found = records.get(name)
        entries, settings = records.entries(found.id), records.settings(found)
        others = records.table.list(is_open=True, limit=50)
        questions = self._app.approvals.list_open(found.id)
        response = self._playbooks.newest_run(found.id)
        dossier = self._app.reviews.dossier(found)
        return {
            "incident": found,
            "card": card_of(records, found, now),
            "status_word": notices.status_word(found),
            "estimate": notices.estimate(found, now),
            "impact": found.impact or notices.affected(found),
            "entries": [
                (entry, entry_text(entry), entry.data.get("evidence") or ()) for entry in reversed(fold(entries))
            ],
            "blockers": resolution.blockers(found) if found.status.is_open else (),
            "timers": records.table.list_timers(found.id),
            "responses": runs_on(self._playbooks, found.id),
            "questions": questions,
            "ownership": ownership(found, entries, response, [one.question for one in questions]),
            "forms": incident_forms(found, _choices(found, settings, others)),
            "reviewable": found.status in _REVIEWABLE or found.status.is_open,
            "review_parts": _review_parts(dossier, found),
            "missing": missing_fields(found),
            "draft": draft(dossier),
        }

    async def give(
        self, command: type[IncidentCommand], request: Request, form: Form, principal: Principal
    ) -> tuple[str, str]:
        name, wanted = request.path_params["incident"], command_from(command, form)
        changed = await anyio.to_thread.run_sync(self._service.execute, name, person(principal.name), wanted)
        return f"/incidents/{changed.id}", command.spec.page.done if command.spec.page else ""

    async def decide(self, approved: bool, request: Request, form: Form, principal: Principal) -> tuple[str, str]:
        name = request.path_params["incident"]
        await decide(self._app, form, principal, name, approved=approved)
        return f"/incidents/{name}", "approved" if approved else "denied"


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


def _choices(
    incident: Incident, settings: ResponseSettings, others: Sequence[IncidentRow]
) -> dict[Choices, list[tuple[str, str]]]:
    severities = [one for one in Severity if one is not incident.severity]
    return {
        Choices.CONTACTS: [(one.id, one.name or one.id) for one in settings.contacts],
        Choices.LEVELS: [(str(number), f"{number}: {title}") for number, title in _LEVELS.items()],
        Choices.SEVERITIES: [(one.value, severity_words(one)) for one in severities],
        Choices.OTHER_INCIDENTS: [
            (row.id, f"{row.severity.value} {first_line(row.title, _TITLE_WIDTH)}")
            for row in others
            if row.id != incident.id
        ],
    }

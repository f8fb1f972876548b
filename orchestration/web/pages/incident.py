"""One incident: what somebody who was woken needs on one page, and every handle of the desk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.config.response import Severity
from orchestration.errors import NotFoundError, UsageError
from orchestration.incidents import telling
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.model import Actor, Incident, IncidentStatus, ReviewField, person
from orchestration.incidents.review import draft, spoken
from orchestration.security.principal import Principal, Role
from orchestration.web.pages.forms import Form
from orchestration.web.pages.incidents import SUBJECTS, card_of
from orchestration.web.pages.run import decide
from orchestration.web.pages.site import Deed, Page, Site, Values

_LEVELS = {1: "on-call engineer", 2: "technical lead", 3: "project manager", 4: "security team"}
_REVIEWABLE = (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW, IncidentStatus.CLOSED)

Change = Callable[[str, Actor, Form], Incident]


def routes(site: Site) -> Sequence[Route]:
    """The page with its forms."""
    view = _Incident(site)
    deeds = {name: (view.deed(change, done), Role.RESPONDER) for name, (change, done) in view.changes().items()}
    deeds["approve"] = (partial(view.decide, approved=True), Role.RESPONDER)
    deeds["deny"] = (partial(view.decide, approved=False), Role.RESPONDER)
    return site.page(Page("/incidents/{incident}", "incident.html", "incidents", view.read, SUBJECTS), deeds)


class _Incident:
    def __init__(self, site: Site) -> None:
        self._app = site.app
        self._desk = site.app.desk

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, request.path_params["incident"])

    def _read(self, name: str) -> Values:
        records, now = self._desk.records, self._app.clock.now()
        found = records.get(name)
        entries, settings = records.entries(found.id), records.settings(found)
        others = records.table.list(is_open=True, limit=50)
        return {
            "incident": found,
            "card": card_of(records, found, now),
            "status_word": telling.status_word(found),
            "hurts": found.impact or telling.touched(found),
            "entries": [(entry, spoken(entry), entry.data.get("evidence") or ()) for entry in reversed(entries)],
            "timers": records.table.timers(found.id),
            "questions": self._app.approvals.open(found.id),
            "contacts": settings.contacts,
            "levels": _LEVELS,
            "severities": [one for one in Severity if one is not found.severity],
            "others": [row for row in others if row.id != found.id],
            "reviewable": found.status in _REVIEWABLE,
            "review_fields": list(ReviewField),
            "missing": missing_fields(found),
            "draft": draft(found, entries, settings, now),
        }

    def changes(self) -> dict[str, tuple[Change, str]]:
        """What the forms do, and the word that says so."""
        desk = self._desk
        return {
            "acknowledge": (lambda name, me, form: desk.acknowledge(name, me), "acknowledged"),
            "note": (lambda name, me, form: desk.note(name, me, form.text("text")), "noted"),
            "assign": (lambda name, me, form: desk.assign(name, me, form.text("contact")), "assigned"),
            "impact": (lambda name, me, form: desk.set_impact(name, me, form.text("text")), "impact"),
            "estimate": (lambda name, me, form: desk.set_eta(name, me, _moment(form, "eta")), "estimate"),
            "severity": (self._change_severity, "severity"),
            "escalate": (
                lambda name, me, form: desk.escalate(name, me, form.whole("level", 1, 4), form.text("reason")),
                "escalated",
            ),
            "mitigate": (lambda name, me, form: desk.begin_mitigation(name, me, form.text("text")), "mitigating"),
            "resolve": (
                lambda name, me, form: desk.resolve(
                    name, me, form.text("resolution"), form.text("root_cause", needed=False)
                ),
                "resolved",
            ),
            "reopen": (lambda name, me, form: desk.reopen(name, me, form.text("reason")), "reopened"),
            "cancel": (lambda name, me, form: desk.cancel(name, me, form.text("reason")), "cancelled-incident"),
            "merge": (lambda name, me, form: desk.merge(name, me, form.text("into")), "merged"),
            "review": (
                lambda name, me, form: desk.complete_review_field(name, me, _review_field(form), form.text("text")),
                "reviewed",
            ),
            "action": (
                lambda name, me, form: desk.add_action(
                    name, me, form.text("text"), form.text("owner"), _day(form, "due")
                ),
                "action-added",
            ),
            "action-done": (
                lambda name, me, form: desk.finish_action(name, me, form.whole("number", 1, 10_000)),
                "action-done",
            ),
            "close": (lambda name, me, form: desk.close(name, me), "closed"),
        }

    def deed(self, change: Change, done: str) -> Deed:
        """What happens to a form: the change, in a thread, by the one who asks."""

        async def deed(request: Request, form: Form, principal: Principal) -> tuple[str, str]:
            name = request.path_params["incident"]
            changed = await anyio.to_thread.run_sync(change, name, person(principal.name), form)
            return f"/incidents/{changed.id}", done

        return deed

    async def decide(
        self, request: Request, form: Form, principal: Principal, *, approved: bool
    ) -> tuple[str, str]:
        name = request.path_params["incident"]
        await decide(self._app, form, principal, name, approved=approved)
        return f"/incidents/{name}", "approved" if approved else "denied"

    def _change_severity(self, name: str, me: Actor, form: Form) -> Incident:
        try:
            wanted = Severity(form.text("severity"))
        except ValueError as error:
            raise UsageError("expected a severity from P0 to P3; choose one of the list") from error
        worse = wanted.worse_than(self._desk.records.get(name).severity)
        act: Any = self._desk.raise_severity if worse else self._desk.lower_severity
        changed: Incident = act(name, me, wanted, form.text("reason"))
        return changed


def _review_field(form: Form) -> ReviewField:
    try:
        return ReviewField(form.text("field"))
    except ValueError as error:
        raise NotFoundError("expected a part of the review; choose one of the list") from error


def _moment(form: Form, name: str) -> datetime:
    """A date and time, UTC, as a browser's field for these sends it."""
    try:
        moment = datetime.fromisoformat(form.text(name))
    except ValueError as error:
        raise UsageError(f"expected a date and a time in '{name}', got something else") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _day(form: Form, name: str) -> date:
    try:
        return date.fromisoformat(form.text(name))
    except ValueError as error:
        raise UsageError(f"expected a date in '{name}', got something else") from error

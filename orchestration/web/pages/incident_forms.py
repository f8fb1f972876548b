"""What the forms of an incident do: each one handle of the desk, and the word that says that it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.model import Actor, Incident, ReviewField
from orchestration.incidents.service import IncidentService
from orchestration.web.pages.forms import Form

Change = Callable[[IncidentService, str, Actor, Form], Incident]


def _change_severity(service: IncidentService, name: str, me: Actor, form: Form) -> Incident:
    try:
        wanted = Severity(form.text("severity"))
    except ValueError as error:
        raise UsageError("expected a severity from P0 to P3; choose one of the list") from error
    worse = wanted.worse_than(service.records.get(name).severity)
    act = service.raise_severity if worse else service.lower_severity
    return act(name, me, wanted, form.text("reason"))


def _escalate(service: IncidentService, name: str, me: Actor, form: Form) -> Incident:
    return service.escalate(name, me, form.whole("level", 1, 4), form.text("reason"))


def _resolve(service: IncidentService, name: str, me: Actor, form: Form) -> Incident:
    return service.resolve(name, me, form.text("resolution"), form.text("root_cause", required=False))


def _review(service: IncidentService, name: str, me: Actor, form: Form) -> Incident:
    try:
        field = ReviewField(form.text("field"))
    except ValueError as error:
        raise UsageError("expected a part of the review; choose one of the list") from error
    return service.complete_review_field(name, me, field, form.text("text"))


def _add_action(service: IncidentService, name: str, me: Actor, form: Form) -> Incident:
    return service.add_action(name, me, form.text("text"), form.text("owner"), _day(form, "due"))


def _finish_action(service: IncidentService, name: str, me: Actor, form: Form) -> Incident:
    return service.finish_action(name, me, form.whole("number", 1, 9999))


CHANGES: Mapping[str, tuple[Change, str]] = {
    "acknowledge": (lambda service, name, me, _: service.acknowledge(name, me), "acknowledged"),
    "note": (lambda service, name, me, form: service.note(name, me, form.text("text")), "noted"),
    "assign": (lambda service, name, me, form: service.assign(name, me, form.text("contact")), "assigned"),
    "impact": (lambda service, name, me, form: service.set_impact(name, me, form.text("text")), "impact"),
    "estimate": (lambda service, name, me, form: service.set_eta(name, me, _moment(form, "eta")), "estimate"),
    "severity": (_change_severity, "severity"),
    "escalate": (_escalate, "escalated"),
    "mitigate": (lambda service, name, me, form: service.begin_mitigation(name, me, form.text("text")), "mitigating"),
    "resolve": (_resolve, "resolved"),
    "reopen": (lambda service, name, me, form: service.reopen(name, me, form.text("reason")), "reopened"),
    "cancel": (lambda service, name, me, form: service.cancel(name, me, form.text("reason")), "cancelled-incident"),
    "merge": (lambda service, name, me, form: service.merge(name, me, form.text("into")), "merged"),
    "review": (_review, "reviewed"),
    "action": (_add_action, "action-added"),
    "action-done": (_finish_action, "action-done"),
    "close": (lambda service, name, me, _: service.close(name, me), "closed"),
}  # fmt: skip


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

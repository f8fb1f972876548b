"""The forms of an incident: what they ask for, and the command that a submitted form means. Built from the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

from orchestration.domain.incident_status import IncidentStatus
from orchestration.errors import UsageError
from orchestration.incidents.commands.base import CommandField, IncidentCommand, PageForm, ShownWhile
from orchestration.incidents.commands.inputs import Choices
from orchestration.incidents.commands.table import COMMANDS
from orchestration.incidents.model import Incident
from orchestration.web.pages.forms import Form

FORMS: Mapping[str, type[IncidentCommand]] = {
    command.spec.page.name: command for command in COMMANDS.values() if command.spec.page
}
_RESOLVED = (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW)


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field of a form. `control` is a type of HTML's `input`, or `textarea`, or `select`."""

    name: str
    label: str
    hint: str
    control: str
    rows: int
    required: bool
    value: str
    options: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class FormView:
    """A form, ready to be shown."""

    page: PageForm
    fields: Sequence[FieldView]


def forms_for(incident: Incident, choices: Mapping[Choices, Sequence[tuple[str, str]]]) -> list[FormView]:
    """The forms that the page offers in its list, by the incident's state; none that has nothing to choose from."""
    shown = [(command.spec.page, command) for command in FORMS.values() if _is_shown(command.spec.page, incident)]
    views = [(page, [_view(field, incident, choices) for field in command.fields()]) for page, command in shown if page]
    return [
        FormView(page, [field for field in fields if field.label])
        for page, fields in sorted(views, key=lambda each: each[0].order)
        if all(field.options for field in fields if field.control == "select")
    ]


def command_from(command: type[IncidentCommand], form: Form) -> IncidentCommand:
    """The command that a form means. Raises UsageError."""
    return command(**dict(_values(command, form)))


def _is_shown(page: PageForm | None, incident: Incident) -> bool:
    match page.shown if page else ShownWhile.ELSEWHERE:
        case ShownWhile.ALWAYS:
            return True
        case ShownWhile.OPEN:
            return incident.status.is_open
        case ShownWhile.RESOLVED:
            return incident.status in _RESOLVED
        case _:
            return False


def _view(field: CommandField, incident: Incident, choices: Mapping[Choices, Sequence[tuple[str, str]]]) -> FieldView:
    asked = field.input
    value = getattr(incident, asked.prefill) if asked.prefill else asked.console_default
    return FieldView(
        name=field.name,
        label=asked.label,
        hint=asked.hint,
        control=_control(field),
        rows=asked.rows,
        required=field.required,
        value="" if value is None else str(value),
        options=() if asked.choices is None else choices[asked.choices],
    )


def _control(field: CommandField) -> str:
    if field.input.choices is not None:
        return "select"
    if field.kind is bool:
        return "checkbox"
    if issubclass(field.kind, datetime):
        return "datetime-local"
    if issubclass(field.kind, date):
        return "date"
    return "textarea" if field.input.rows else "text"


def _values(command: type[IncidentCommand], form: Form) -> Iterator[tuple[str, Any]]:
    for field in command.fields():
        if field.required or form.text(field.name, required=False):
            yield field.name, _read(field, form)


def _read(field: CommandField, form: Form) -> Any:
    if issubclass(field.kind, Enum):
        return _member(field, form.text(field.name))
    if issubclass(field.kind, datetime):
        return _moment(form, field.name)
    if issubclass(field.kind, date):
        return _day(form, field.name)
    if field.kind is bool:  # before the numbers, of which it is one
        return True
    if issubclass(field.kind, int):
        least, most = field.bounds
        return form.whole(field.name, least or 0, most or 0)
    return form.text(field.name)


def _member(field: CommandField, text: str) -> Any:
    try:
        return field.kind(text)
    except ValueError as error:
        known = ", ".join(str(member.value) for member in field.kind)
        raise UsageError(f"expected one of {known} in '{field.name}', got '{text[:20]}'") from error


def _moment(form: Form, name: str) -> datetime:
    """A date and time, UTC, as a browser's field for these sends it: without a zone."""
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

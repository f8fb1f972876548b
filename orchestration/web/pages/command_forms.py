"""Forms built from commands: what they ask for, and the command that a submitted form means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, TypeVar

from orchestration.commands.command import Command, CommandField
from orchestration.commands.inputs import Choices
from orchestration.commands.spec import PageForm
from orchestration.errors import UsageError
from orchestration.web.pages.forms import Form

C = TypeVar("C", bound=Command)
ChoiceLists = Mapping[Choices, Sequence[tuple[str, str]]]


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


def forms_by_name(commands: Mapping[str, type[C]]) -> Mapping[str, type[C]]:
    """The commands that have a form, by its name."""
    return {command.spec.page.name: command for command in commands.values() if command.spec.page}


def forms_for(
    subject: object, commands: Iterable[type[Command]], is_shown: Callable[[Enum], bool], choices: ChoiceLists
) -> list[FormView]:
    """The forms that the page of an incident or a run offers in its list; none that has nothing to choose from.

    `is_shown` says whether the state of the subject is one for which a form is shown.
    """
    shown = [
        form_of(command, page, choices, subject)
        for command in commands
        if (page := command.spec.page) is not None and page.shown is not None and is_shown(page.shown)
    ]
    return [
        form
        for form in sorted(shown, key=lambda each: each.page.order)
        if all(field.options for field in form.fields if field.control == "select")
    ]


def form_of(command: type[Command], page: PageForm, choices: ChoiceLists, subject: object = None) -> FormView:
    """The form of one command, filled with what is known of its subject."""
    views = [_view(field, subject, choices) for field in command.fields()]
    return FormView(page, [view for view in views if view.label])


def command_from(command: type[C], form: Form) -> C:
    """The command that a form means. Raises UsageError."""
    return command(**dict(_values(command, form)))


def _view(field: CommandField, subject: object, choices: ChoiceLists) -> FieldView:
    asked = field.input
    value = getattr(subject, asked.prefill) if asked.prefill else asked.console_default
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


def _values(command: type[Command], form: Form) -> Iterator[tuple[str, Any]]:
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

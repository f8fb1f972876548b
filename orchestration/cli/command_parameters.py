"""Console commands built from tables of commands, for this machine's project and for a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any, TypeVar

import click

from orchestration.cli import common
from orchestration.cli.timespec import MOMENT, ago, ahead, due_date
from orchestration.clock import SystemClock
from orchestration.commands.command import Command, CommandField

C = TypeVar("C", bound=Command)
# Carries out a command on the incident or run that a text names, and prints what came of it; returns the exit code.
Give = Callable[[click.Context, str, C, bool], int | None]

# The old positional form and the option are two parameters, and click needs a name for each.
_POSITIONAL = "_argument"
# With an underscore, since commands may have a field `subject`.
_SUBJECT = "subject_"


def add_commands(
    group: click.Group,
    commands: Mapping[str, type[C]],
    noun: str,
    give: Give[C],
    *,
    remote: bool = False,
    more: Callable[[type[C]], Sequence[click.Parameter]] = lambda _: (),
) -> None:
    """Add every command that has a console command of its own. `noun` names its incident or run in the help; `more` are
    further options, which `give` reads from the context."""
    for command in commands.values():
        # Composite commands share one console command (`review`, `actions`), which is written by hand.
        if command.spec.console and not command.spec.composite:
            group.add_command(_command(command, noun, give, more(command), remote=remote))


def add_opening_commands(
    group: click.Group, commands: Mapping[str, type[C]], give: Callable[[click.Context, C, bool], int | None]
) -> None:
    """Add the commands that open something, such as an incident, and so work on nothing that is there already."""
    for command in commands.values():
        group.add_command(_command(command, None, lambda context, _, value, as_json: give(context, value, as_json), ()))


def _command(
    command: type[C], noun: str | None, give: Give[C], more: Sequence[click.Parameter], *, remote: bool = False
) -> click.Command:
    def callback(as_json: bool, subject_: str = "", **given: Any) -> int | None:
        values = _values(command, given, SystemClock().now())
        return give(click.get_current_context(), subject_, command(**values), as_json)

    fields = command.fields()
    parameters: list[click.Parameter] = [
        *([click.Argument([_SUBJECT], metavar=noun)] if noun else []),
        *(_argument(field) for field in fields if field.input.argument),
        *(_extra_argument(field) for field in fields if remote and field.input.remote_argument),
        *(_option(field) for field in fields if not field.input.argument),
        *more,
    ]
    built = click.Command(command.spec.console, params=parameters, callback=callback, help=command.spec.summary)
    return common.json_option(built)


def _argument(field: CommandField) -> click.Argument:
    return click.Argument([field.name], type=_type(field), metavar=field.input.metavar or None)


def _extra_argument(field: CommandField) -> click.Argument:
    return click.Argument(
        [field.name + _POSITIONAL], type=_type(field), metavar=f"[{field.name.upper()}]", required=False
    )


def _option(field: CommandField) -> click.Option:
    name = field.input.option or f"--{field.name.replace('_', '-')}"
    if field.kind is bool:
        return click.Option([name, field.name], is_flag=True, help=field.input.description)
    given: dict[str, Any] = {"type": _type(field), "help": field.input.description}
    if field.input.console_default is not None:
        given |= {"default": _plain(field.input.console_default), "show_default": True}
    elif field.required:
        # Without `default`: click takes even None for a default, and the option would not be required.
        given |= {"required": True}
    else:
        given |= {"default": _plain(field.default)}
    return click.Option([name, field.name], **given)


def _plain(default: Any) -> Any:
    """A default as it would be written; click compares what it gets with the texts of the choices."""
    return default.value if isinstance(default, Enum) else default


def _type(field: CommandField) -> click.ParamType[Any]:
    kind = field.kind
    if issubclass(kind, Enum):
        return click.Choice([str(member.value) for member in kind])
    if issubclass(kind, date):  # a datetime is one, too
        return MOMENT
    if kind is int:
        return click.IntRange(*field.bounds)
    return click.STRING


def _values(command: type[Command], given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return dict(_parsed(command, given, now))


def _parsed(command: type[Command], given: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, Any]]:
    for field in command.fields():
        positional = given.get(field.name + _POSITIONAL)
        value = given[field.name] if positional is None else positional
        yield field.name, value if value is None else _read(field, value, now)


def _read(field: CommandField, value: Any, now: datetime) -> Any:
    if issubclass(field.kind, Enum):
        return field.kind(value)
    # A datetime before a date, because every datetime is also a date.
    if issubclass(field.kind, datetime):
        return ago(value, now) if field.input.past else ahead(value, now)
    return due_date(value, now) if issubclass(field.kind, date) else value

"""The commands that texts of the product tell people to type, and whether they can be typed.

A text is any string of the code, a playbook, a template, a message, a page or a document. `orchestrator …` is followed
through the real console command, as far as it can be without carrying it out: its groups, its options, the number of
its arguments, and the values that are no placeholders.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml
from invoke.collection import Collection

import tasks
from orchestration.cli import cli
from orchestration.errors import OrchestratorError
from tests.support.project import ROOT

_PLACEHOLDER = "PLACEHOLDER"
_SOURCES = ("orchestration/**/*.py", "tasks.py")
_PLAYBOOKS = "orchestration/playbooks/library/*.yaml"
_TEXTS = (
    "orchestration/**/*.html",
    "orchestration/notifications/templates/*.txt",
    "*.md",
    "docs/**/*.md",
    "deploy/**/*.yml",
    "deploy/**/*.service",
)
# A command ends where its line, its code span or its sentence does; quoted goals may hold anything.
_QUOTED = r"""(?:"[^"\n]*"|'[^'\n]*')"""
_END = r"""(?:\ {2}|\ [#(|&→>]|[`<;)\n"']|,(?:\s|$))"""
_COMMAND = re.compile(rf"(?<![\w./-])(?P<program>orchestrator|invoke|\./run)[ ](?P<rest>(?:{_QUOTED}|(?!{_END}).)*)")
# Written from the commands themselves, with usage lines that are no commands.
_GENERATED = (ROOT / "docs" / "reference" / "commands.md",)
_MARKUP = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")


class NamedCommand(NamedTuple):
    """A command as a text has it. `typed` ones stand in a code span or behind a prompt; others may be prose."""

    place: str
    program: str
    words: tuple[str, ...]
    typed: bool

    def __str__(self) -> str:
        return f"{self.place}: {self.program} {' '.join(self.words)}"


def named_commands() -> Iterator[NamedCommand]:
    """Every command that any text names."""
    for pattern in _SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            for line, text in _strings(path):
                yield from commands_in(text, f"{path.relative_to(ROOT)}:{line}")
    for path in sorted(ROOT.glob(_PLAYBOOKS)):
        for text in _values(yaml.safe_load(path.read_text(encoding="utf-8"))):
            yield from commands_in(text, str(path.relative_to(ROOT)))
    for pattern in _TEXTS:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and path not in _GENERATED:
                text = _MARKUP.sub(_PLACEHOLDER, path.read_text(encoding="utf-8"))
                yield from commands_in(text, str(path.relative_to(ROOT)))


def commands_in(text: str, place: str) -> Iterator[NamedCommand]:
    """The commands that a text names."""
    for found in _COMMAND.finditer(text):
        before = text[: found.start()]
        typed = before.endswith(("`", "$ ", "<code>")) or '"' in before[-1:]
        words = _words(found["rest"].strip().rstrip(".:,"))
        if words and (typed or _is_named(found["program"], words[0])):
            yield NamedCommand(place, found["program"], words, typed)


def problem_of(command: NamedCommand) -> str | None:
    """Why a command cannot be typed like this; None if it can."""
    try:
        if command.program == "orchestrator":
            _follow(cli, None, list(command.words))
        else:
            _check_task(command.words)
    except (click.ClickException, OrchestratorError) as error:
        return f"{command}: {error.format_message() if isinstance(error, click.ClickException) else error}"
    return None


def _follow(command: click.Command, parent: click.Context | None, words: list[str]) -> None:
    context = click.Context(command, info_name=command.name or "orchestrator", parent=parent)
    if isinstance(command, click.Group):
        values, rest, _ = command.make_parser(context).parse_args(list(words))
        context.params.update(values)
        if rest and not _is_placeholder(rest[0]):
            _, found, arguments = command.resolve_command(context, rest)
            assert found is not None
            _follow(found, context, arguments)
        return
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if rest:
        raise click.UsageError(f"unexpected words: {' '.join(rest)}")
    missing = [
        one.human_readable_name
        for one in command.params
        if one.required and not isinstance(values.get(one.name or ""), str | tuple | list | bool)
    ]
    if missing:
        raise click.UsageError(f"missing: {', '.join(missing)}")
    for parameter in command.params:
        given = values.get(parameter.name or "")
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(value, str) and not _is_placeholder(value):
                parameter.type.convert(value, parameter, context)


def _check_task(words: tuple[str, ...]) -> None:
    name, *options = words
    found = _tasks().get(name)
    if found is None and not name.startswith("-"):
        raise click.UsageError(f"there is no task '{name}'; there are {', '.join(sorted(_tasks()))}")
    for option in options:
        given = option.partition("=")[0]
        if given.startswith("--") and given.removeprefix("--") not in (found or ()):
            raise click.UsageError(f"the task '{name}' has no option '{given}'")


@cache
def _tasks() -> dict[str, frozenset[str]]:
    collection = Collection.from_module(tasks)
    options = {name: collection[name].get_arguments() for name in collection.task_names}
    return {
        name: frozenset(each.replace("_", "-") for one in found for each in one.names)
        for name, found in options.items()
    }


def _strings(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module, those with values in them as one text with placeholders."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(_part(value) for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def _values(document: Any) -> Iterator[str]:
    """The texts of a YAML document."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list):
        for each in document.values() if isinstance(document, dict) else document:
            yield from _values(each)


def _part(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else _PLACEHOLDER


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:  # a quotation that the text leaves open
        return tuple(text.split())


def _is_named(program: str, word: str) -> bool:
    """Whether a first word in prose is the name of a command."""
    if program == "orchestrator":
        return word == "--server" or word in cli.list_commands(click.Context(cli))
    return program == "./run" or word in _tasks()


def _is_placeholder(word: str) -> bool:
    return _PLACEHOLDER in word or "…" in word or word.strip("[]").isupper() or word.startswith("$")

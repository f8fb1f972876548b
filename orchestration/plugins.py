"""Extensions that users install beside the system: packages that name an object under one of our entry points.

The packaging standard describes entry points: https://packaging.python.org/en/latest/specifications/entry-points/.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class PluginError(Exception):
    """An object that a package offers cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Plugins(Generic[T]):
    """The extensions of one group: those that can be used, and why each of the others cannot."""

    usable: tuple[T, ...] = ()
    problems: tuple[str, ...] = ()


def plugin_registry(
    group: str, what: str, validate: Callable[[object], T], warn: Callable[[str], None]
) -> Callable[[], Plugins[T]]:
    """A function that loads a group when it is first called, once in each process, and warns of what cannot be used."""

    # Not at import: the code of a user's package runs only in a process that needs it.
    @cache
    def load() -> Plugins[T]:
        plugins = load_plugins(group, what, validate)
        for problem in plugins.problems:
            warn(problem)
        return plugins

    return load


def load_plugins(group: str, what: str, validate: Callable[[object], T]) -> Plugins[T]:
    """Import every extension of a group. `validate` returns the usable object or raises PluginError.

    One that cannot be imported or used is left out with a reason. It must not keep the others from loading: these are
    parts of an incident response, which has to work with what is left.
    """
    usable: list[T] = []
    problems: list[str] = []
    # By name, since the order of installed packages differs between machines.
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        try:
            usable.append(validate(entry.load()))
        except PluginError as error:
            problems.append(_problem(entry, what, str(error)))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (importing a user's module may do anything)
            problems.append(_problem(entry, what, f"{type(error).__name__}: {error}"))
    return Plugins(tuple(usable), tuple(problems))


def _problem(entry: EntryPoint, what: str, reason: str) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return f"the {what} '{entry.name}' ({entry.value}, of {package}) cannot be used: {reason}"

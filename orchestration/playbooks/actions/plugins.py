"""Users' own actions: packages that name them under the entry point `orchestration.actions`.

An entry point leads to an action's class, or to a module that makes its actions known by being imported. One that is
broken is left out and told of; it never keeps the others, or a response, from going on.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from orchestration.errors import UsageError
from orchestration.logs import get_logger
from orchestration.playbooks.actions import REGISTRY, Action, Parameters, action

GROUP = "orchestration.actions"
_NAME = re.compile(r"[a-z][a-z-]*\.[a-z][a-z-]*")
_log = get_logger(__name__)


@cache
def load() -> tuple[str, ...]:
    """Make all users' actions known, once for each process; returns what is wrong with those that cannot be used."""
    troubles = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            _load(entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a user's module does when it is imported)
            told = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            where = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
            troubles.append(f"the actions '{entry.name}' ({entry.value}, of {where}) are left out: {told}")
            _log.warning("action.plugin_broken", message=troubles[-1])
    return tuple(troubles)


def _load(entry: EntryPoint) -> None:
    """Load what an entry point names. Nothing of it is kept when a part is no sound action. Raises anything."""
    before = dict(REGISTRY)
    try:
        found = entry.load()
        if isinstance(found, type) and issubclass(found, Action):
            _check(found)
            action(found)
        elif not isinstance(found, ModuleType):
            raise UsageError(f"expected an action's class or a module, got {found!r}")
        for name in REGISTRY.keys() - before.keys():
            _check(REGISTRY[name])
    except BaseException:
        REGISTRY.clear()
        REGISTRY.update(before)
        raise


def _check(kind: type[Action[Any]]) -> None:
    """Raises UsageError for a class that lacks what every action has."""
    name, parameters = getattr(kind, "name", ""), getattr(kind, "parameters", None)
    if not _NAME.fullmatch(name):
        raise UsageError(f"expected a name such as 'own.restart' for {kind.__name__}, got '{name}'")
    if not getattr(kind, "summary", ""):
        raise UsageError(f"expected a `summary` of {name} in a few words, got none")
    if not (isinstance(parameters, type) and issubclass(parameters, Parameters)):
        raise UsageError(f"expected `parameters` of {name} to be a subclass of Parameters, got {parameters!r}")
    if kind.run is Action.run:
        raise UsageError(f"expected {name} to have a `run` of its own, got none")

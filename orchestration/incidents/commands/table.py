"""The table of all incident commands, from which console, API, client and pages are built.

Every module of this package is searched for commands, so that adding one takes one file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from orchestration.incidents import commands
from orchestration.incidents.commands.base import IncidentCommand


def find_commands() -> Iterator[type[IncidentCommand]]:
    """Every command that a module of the package defines, by module and then in the order of definition."""
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda each: each.name):
        namespace = vars(importlib.import_module(f"{commands.__name__}.{module.name}"))
        for found in namespace.values():
            defined_there = isinstance(found, type) and found.__module__ == namespace["__name__"]
            if defined_there and issubclass(found, IncidentCommand) and hasattr(found, "spec"):
                yield found


COMMANDS: Mapping[str, type[IncidentCommand]] = MappingProxyType({each.__name__: each for each in find_commands()})

"""Finding the commands of a package, so that adding one takes one file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import TypeVar

from orchestration.commands.command import Command

C = TypeVar("C", bound=Command)


def commands_of(package: ModuleType, kind: type[C]) -> Mapping[str, type[C]]:
    """The commands that the modules of a package define, by their class names."""
    return MappingProxyType({each.__name__: each for each in _find(package, kind)})


def _find(package: ModuleType, kind: type[C]) -> Iterator[type[C]]:
    """By module, and then in the order of definition."""
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        namespace = vars(importlib.import_module(f"{package.__name__}.{module.name}"))
        for found in namespace.values():
            defined_there = isinstance(found, type) and found.__module__ == namespace["__name__"]
            if defined_there and issubclass(found, kind) and hasattr(found, "spec"):
                yield found

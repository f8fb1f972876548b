"""Where a function of the user's can be imported from by a process that runs it."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.errors import UsageError

_MAIN = "__main__"


@dataclass(frozen=True, slots=True)
class CodeReference:
    """A function as `module:name`, and the folder on the import path that its module is found in; None for one that is
    installed."""

    entry_point: str
    folder: Path | None


def reference_to(function: Callable[..., Any]) -> CodeReference:
    """Where a function is. Raises UsageError for one that no other process can import."""
    name = function.__qualname__
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"{name} is defined inside a function, and runs in a process of its own, which cannot import it from "
            "there. Define it at the top of a module."
        )
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        raise UsageError(
            f"{name} was typed into an interactive session, and runs in a process of its own, which cannot import it. "
            "Put it into a file."
        )
    module_name = _importable(function.__module__, module, Path(file))
    return CodeReference(f"{module_name}:{name}", _folder(module_name, Path(file).resolve()))


def _importable(name: str, module: Any, file: Path) -> str:
    """The name under which a module can be imported; a script is `__main__` only where it was started."""
    if name != _MAIN:
        return name
    spec = getattr(module, "__spec__", None)
    # Started by `python -m`, it has a name: https://docs.python.org/3/reference/import.html#main-spec
    found = spec.name if spec is not None else file.stem
    if not all(part.isidentifier() for part in found.split(".")):
        raise UsageError(
            f"{file.name} cannot be imported under the name '{found}'. Give the file a name of letters, digits and "
            "underscores."
        )
    return str(found)


def _folder(module: str, file: Path) -> Path | None:
    if file.is_relative_to(sysconfig.get_path("purelib")) or file.is_relative_to(sysconfig.get_path("stdlib")):
        return None
    package = file.name == "__init__.py"
    return file.parents[module.count(".") + (1 if package else 0)]

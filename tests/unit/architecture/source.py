"""The package as source text: its modules, what they import, and what they define."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "orchestration"
# A repository of its own that the demo works on.
_SAMPLE = PACKAGE / "rehearsal" / "samples" / "tally-book"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module's dotted name, its text, and its syntax tree."""

    name: str
    text: str
    tree: ast.Module

    @property
    def functions(self) -> Iterator[Function]:
        """Every function of it: methods and nested functions, too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    @property
    def classes(self) -> Iterator[str]:
        """The names of the classes at its top."""
        return (node.name for node in self.tree.body if isinstance(node, ast.ClassDef))

    @property
    def comments(self) -> int:
        """How many comments it has."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(token.type == tokenize.COMMENT for token in tokens)


@cache
def modules() -> Mapping[str, Module]:
    """All modules of the package by name; a package counts as a module of its own name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.is_relative_to(_SAMPLE):
            text = path.read_text(encoding="utf-8")
            found[_name(path)] = Module(_name(path), text, ast.parse(text))
    return found


def imports(module: Module) -> frozenset[str]:
    """The modules of the package that a module imports, wherever in it: in functions and under TYPE_CHECKING, too."""
    known = modules()
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            submodules = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in known else node.module for name in submodules.values())
    return frozenset(found & known.keys()) - {module.name}


def words(name: str) -> tuple[str, ...]:
    """The words of a name in snake_case or CamelCase, in lower case."""
    return tuple(part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

"""Reading a playbook's file: YAML, with the position of every value, so that an error can name its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from orchestration.errors import UsageError
from orchestration.playbooks.model import Playbook

# libyaml reads seventeen times as fast, and the first response of a process waits until all playbooks are read.
try:
    from yaml import CSafeLoader as FastLoader
except ImportError:  # a PyYAML that was built without it
    from yaml import SafeLoader as FastLoader  # type: ignore[assignment]

# Many times the largest shipped playbook: what is longer was not meant to be one.
_MOST_BYTES = 262_144
# Aliases can make a short text endless, or larger than any memory, once its values are spelled out.
_MOST_NODES, _MOST_NESTED = 50_000, 50
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class DocumentError:
    """One mistake in a playbook's file."""

    file: str
    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{place}"


class PlaybookError(UsageError):
    """A playbook cannot be used; `mistakes` holds everything that is wrong with it."""

    def __init__(self, file: str, mistakes: tuple[DocumentError, ...]) -> None:
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        super().__init__(f"{file} cannot be used; {len(mistakes)} to mend:\n{lines}")
        self.mistakes = mistakes


class _Loader(FastLoader):
    """YAML without its surprises: `on`, `off`, `yes` and `no` stay text, as in YAML 1.2 (a mode is called `off`); so do
    dates."""

    # Lists of its own: changing those of the base class would change YAML for the whole process.
    yaml_implicit_resolvers = {  # noqa: RUF012 (as the base class has it)
        first: [(tag, expression) for tag, expression in resolvers if not tag.endswith((":bool", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])


def parse(text: str, file: str) -> Playbook:
    """The playbook in a text. Raises PlaybookError with every mistake and its line."""
    if len(text.encode()) > _MOST_BYTES:
        raise PlaybookError(file, (DocumentError(file, 1, 1, "", f"expected at most {_MOST_BYTES:,} bytes, got more"),))
    try:
        # Only nodes know their lines, and only loaded values can be validated.
        loader = _Loader(text)
        node = loader.get_single_node()
        if unusable := node and _unusable(node, file):
            raise PlaybookError(file, (unusable,))
        places = dict(_places(node)) if node is not None else {}
        # PyYAML silently keeps the last of two equal keys: half of a guard would be lost.
        duplicates = tuple(_duplicates(node, file))
        data = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise PlaybookError(file, (_syntax(file, error),)) from error
    if duplicates:
        raise PlaybookError(file, duplicates)
    try:
        return Playbook.model_validate(data)
    except ValidationError as error:
        raise PlaybookError(file, tuple(_mistakes(file, error, places))) from error


def _unusable(node: yaml.Node, file: str) -> DocumentError | None:
    """What keeps a document from being walked through, if anything does."""
    waiting = [(node, 0)]
    seen = 0
    while waiting:
        one, depth = waiting.pop()
        seen += 1
        if seen > _MOST_NODES or depth > _MOST_NESTED:
            most = f"at most {_MOST_NESTED} levels and {_MOST_NODES:,} values"
            return _at(one, file, f"expected {most}, got more; an alias may stand within what it names")
        if isinstance(one, yaml.MappingNode):
            for key, value in one.value:
                if not isinstance(key, yaml.ScalarNode):
                    return _at(key, file, "expected a word as a key, got a list or a mapping")
                waiting.append((value, depth + 1))
        elif isinstance(one, yaml.SequenceNode):
            waiting.extend((value, depth + 1) for value in one.value)
    return None


def _at(node: yaml.Node, file: str, message: str) -> DocumentError:
    return DocumentError(file, node.start_mark.line + 1, node.start_mark.column + 1, "", message)


def _places(node: yaml.Node, path: Path = ()) -> Iterator[tuple[Path, tuple[int, int]]]:
    yield path, (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _places(value, (*path, key.value))
            yield (*path, key.value), (key.start_mark.line + 1, key.start_mark.column + 1)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _places(value, (*path, number))


def _duplicates(node: yaml.Node | None, file: str) -> Iterator[DocumentError]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield _at(key, file, f"the key '{key.value}' stands twice")
            seen.add(key.value)
            yield from _duplicates(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _duplicates(value, file)


def _syntax(file: str, error: Exception) -> DocumentError:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return DocumentError(file, line, column, "", f"expected YAML: {getattr(error, 'problem', None) or error}")


def _mistakes(file: str, error: ValidationError, places: dict[Path, tuple[int, int]]) -> Iterator[DocumentError]:
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path: Path = tuple(item["loc"])
        # A key that is missing has no line of its own, so the nearest part around it is named.
        nearest = path
        while nearest and nearest not in places:
            nearest = nearest[:-1]
        line, column = places.get(nearest, (1, 1))
        yield DocumentError(file, line, column, ".".join(map(str, path)), _message(item))


def _message(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    return {"missing": "a key is missing", "extra_forbidden": "the key is not known"}.get(item["type"], message)

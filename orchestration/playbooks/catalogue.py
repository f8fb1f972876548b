"""All playbooks: the shipped ones, and the user's in `config/playbooks/`, which replace shipped ones of their name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.errors import NotFoundError, UsageError
from orchestration.playbooks import actions, conditions, proof
from orchestration.playbooks.actions import plugins
from orchestration.playbooks.actions.registry import complete
from orchestration.playbooks.document import DocumentError, PlaybookError, parse
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.model import Playbook

_REFERENCE = "$"


@dataclass(frozen=True, slots=True)
class PlaybookEntry:
    """A playbook and where it comes from, with its text."""

    playbook: Playbook
    file: str
    own: bool
    text: str = ""


class PlaybookCatalogue:
    """All playbooks, read once. An invalid playbook of the user does not replace the shipped one of its name:
    `mistakes` lists what is wrong, and the shipped one is used. The same goes for packages of users' own actions.
    `warnings` are about playbooks that are used, but can do less than they seem to."""

    def __init__(self, folder: Path) -> None:
        self.mistakes = [DocumentError(plugins.GROUP, 1, 1, "", trouble) for trouble in plugins.load()]
        self._entries = {entry.playbook.name: entry for entry in _shipped()}
        self._entries.update({entry.playbook.name: entry for entry in self._own(folder)})
        self.warnings = [warning for entry in self.all() for warning in warnings(entry)]

    def all(self) -> tuple[PlaybookEntry, ...]:
        """Every playbook, by scenario and name."""
        order = list(Scenario)
        return tuple(
            sorted(self._entries.values(), key=lambda one: (order.index(one.playbook.scenario), one.playbook.name))
        )

    def get(self, name: str) -> PlaybookEntry:
        """The playbook of that name. Raises NotFoundError."""
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise NotFoundError(f"expected a playbook ({known}), got '{name}'; correct the name")
        return self._entries[name]

    def choose(self, scenario: Scenario, facts: Mapping[str, Any]) -> Playbook | None:
        """The playbook for an incident: of those that apply, the one with the most conditions; None if none does."""
        fitting = [
            entry
            for entry in self.all()
            if entry.playbook.scenario is scenario and conditions.holds(entry.playbook.applies_when, facts)
        ]
        # The most specific one wins; of two equally specific ones, the user's.
        best = max(fitting, key=lambda entry: (len(entry.playbook.applies_when), entry.own), default=None)
        return best.playbook if best else None

    def _own(self, folder: Path) -> Iterator[PlaybookEntry]:
        for path in sorted(folder.glob("*.y*ml")) if folder.is_dir() else ():
            try:
                yield load(path)
            except PlaybookError as error:
                self.mistakes.extend(error.mistakes)


def load(path: Path) -> PlaybookEntry:
    """A playbook from a file. Raises PlaybookError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        mistake = DocumentError(str(path), 1, 1, "", f"expected a readable text file: {error}")
        raise PlaybookError(str(path), (mistake,)) from error
    return PlaybookEntry(checked(parse(text, str(path)), str(path), text), str(path), own=True, text=text)


def warnings(entry: PlaybookEntry) -> tuple[DocumentError, ...]:
    """What the author should know about a playbook that can be used."""
    found = proof.finding(entry.playbook, complete().get)
    return (DocumentError(entry.file, 1, 1, "verify", found),) if found else ()


def checked(playbook: Playbook, file: str, text: str) -> Playbook:
    """The playbook, if all of its actions exist and have valid parameters. Raises PlaybookError."""
    if mistakes := tuple(_mistakes(playbook, file, text)):
        raise PlaybookError(file, mistakes)
    return playbook


def json_schema() -> str:
    """The JSON Schema of a playbook's file, for editors."""
    schema = Playbook.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


@cache
def _shipped() -> tuple[PlaybookEntry, ...]:
    """Read once in each process: they take a twentieth of a second, and every response asks for them several times."""
    files = sorted(resources.files(f"{__package__}.library").iterdir(), key=lambda one: one.name)
    return tuple(_shipped_entry(file) for file in files if file.name.endswith(".yaml"))


def _shipped_entry(file: Traversable) -> PlaybookEntry:
    text = file.read_text(encoding="utf-8")
    return PlaybookEntry(checked(parse(text, file.name), file.name, text), file.name, own=False, text=text)


def _mistakes(playbook: Playbook, file: str, text: str) -> Iterator[DocumentError]:
    lines = text.splitlines()
    seen: set[str] = set()
    for phase, step in playbook.steps():
        # Found in the text, because a validated playbook no longer knows its lines.
        line = next((number for number, one in enumerate(lines, 1) if f"step: {step.id}" in one), 1)
        where = f"{phase.value}.{step.id}"
        if step.id in seen:
            yield DocumentError(file, line, 1, where, f"two steps are called '{step.id}'; give each a name of its own")
        seen.add(step.id)
        yield from (
            DocumentError(file, line, 1, where, problem) for problem in _step_problems(step.action, step.parameters)
        )


def _step_problems(name: str, parameters: Mapping[str, Any]) -> Iterable[str]:
    known = complete()
    kind = known.get(name)
    if kind is None:
        yield f"expected one of the actions {', '.join(sorted(known))}, got '{name}'"
        return
    names = set(kind.parameters.model_fields)
    for unknown in set(parameters) - names:
        yield f"{name} has no parameter '{unknown}'; it has {', '.join(sorted(names)) or 'none'}"
    # A reference gets its value when the playbook runs; only then can the parameters be validated.
    if any(isinstance(value, str) and value.startswith(_REFERENCE) for value in parameters.values()):
        return
    try:
        actions.parse(kind, KnownFacts({}).resolve(dict(parameters)))
    except UsageError as error:
        yield str(error)

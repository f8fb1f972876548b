"""Problems: results of checks, before their position in the text is known. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic.alias_generators import to_snake

from orchestration.config.document import Document, JsonPath, show_path
from orchestration.config.findings import ConfigFinding, FindingCode

_LISTED_WORDS = 12

# Other spellings of a key that the file may use.
_SPELLINGS = {
    "baseUrl": ("host", "endpoint"),
    "apiKeyEnv": ("tokenEnv",),
    "from": ("source",),
    "to": ("target",),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `path` is its place in the models, which may differ from the place in the file."""

    code: FindingCode
    path: JsonPath
    message: str
    expected: str = ""
    hint: str = ""

    def place(self, file: str, document: Document) -> ConfigFinding:
        """The finding, with the position in the file."""
        path = path_in_file(self.path, document)
        # An unknown key is wrong itself, whatever its value; every other finding is about the value.
        at_key = document.keys.get(path) if self.code is FindingCode.UNKNOWN_KEY else None
        line, column = at_key or document.position(path)
        return ConfigFinding(self.code, file, line, column, show_path(path), self.message, self.expected, self.hint)


def path_in_file(path: JsonPath, document: Document) -> JsonPath:
    """Turn a path of the models into the path that the file uses for the same thing.

    The models gather providers under `runtime.providers` and unwrap `workflow.edges`, and some keys have several
    spellings.
    """
    known = document.values
    if path in known:
        return path
    if path[:2] == ("runtime", "providers") and ("runtime", *path[2:3]) in known:
        path = ("runtime", *path[2:])
    if path[:1] == ("workflow",) and ("workflow", "edges") in known:
        path = ("workflow", "edges", *path[1:])
    found: JsonPath = ()
    for part in path:
        spellings = (part, to_snake(part), *_SPELLINGS.get(part, ())) if isinstance(part, str) else (part,)
        found = next(((*found, name) for name in spellings if (*found, name) in known), (*found, part))
    return found


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint with the most similar known word, or with all of them if they are few."""
    words = sorted(known)
    close = difflib.get_close_matches(name, words, n=1, cutoff=0.6)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known: {', '.join(words)}." if 0 < len(words) <= _LISTED_WORDS else ""

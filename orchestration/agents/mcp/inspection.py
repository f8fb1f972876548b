"""What a server says about a tool, looked through before a model reads it. Pure.

A description is text that a stranger puts into the prompt of an agent. The attacks are described by Invariant Labs,
https://invariantlabs.ai/blog/mcp-security-notification-tool-poisoning-attacks: orders to the model in a description,
hidden from people by invisible characters, or put there after the tool was approved.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_MOST_CHARACTERS = 4_000
_MOST_SCHEMA_BYTES = 32_000
_MOST_DEPTH = 12
_MOST_PARTS = 400
# Format characters, private use, and what no font shows; the selectors of variants, which can carry bytes.
_INVISIBLE_CATEGORIES = frozenset({"Cf", "Cc", "Co", "Cs", "Cn"})
_ALLOWED = frozenset("\n\t\r")
_SELECTORS = re.compile("[\\ufe00-\\ufe0f\\U000e0100-\\U000e01ef]")
# Orders to the model and secrecy towards people have no place in a description of parameters.
_ORDERS = re.compile(
    r"<\s*/?\s*(?:important|system|secret|instructions?|assistant)\s*>"
    r"|\b(?:ignore|disregard|forget)\b.{0,30}\b(?:previous|prior|above|other|all)\b.{0,30}\b(?:instructions?|rules|tools?)"
    r"|\b(?:do not|don't|never|without)\b.{0,20}\b(?:tell|mention|inform|notify|show|telling|informing)\b.{0,20}\buser"
    r"|\bbefore (?:using|calling) (?:this|any)\b.{0,60}\b(?:read|call|send|open|use)\b"
    r"|\byou (?:must|have to|are required to)\b.{0,60}\b(?:first|always|file|read|send|pass)\b"
    r"|\.ssh/|id_rsa|\.env\b|mcp\.json|/etc/passwd",
    re.IGNORECASE | re.DOTALL,
)


class HeldReason(StrEnum):
    """Why a tool is not offered until a person accepts it as it is."""

    HIDDEN_CHARACTERS = "its description has characters that nobody sees"
    ORDERS = "its description gives orders to the model"
    TOO_LONG = "its description is too long"
    SCHEMA_TOO_LARGE = "its parameters are too large or too deep"
    BAD_SCHEMA = "its parameters are no JSON Schema of an object"
    CHANGED = "it is not what it was when it was accepted"
    NAME_TAKEN = "another tool of the server has the same name here"


@dataclass(frozen=True, slots=True)
class ForeignTool:
    """A tool as its server describes it. `name` is the server's own, `digest` that of all that a model would read."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The same for the same name, description and parameters."""
        said = json.dumps([self.name, self.description, self.parameters], sort_keys=True)
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def shown_description(self) -> str:
        """The description without what nobody sees, and not longer than a model needs."""
        return visible(self.description)[:_MOST_CHARACTERS]


def objections(tool: ForeignTool) -> tuple[HeldReason, ...]:
    """Why a tool should not be offered as it is; none for most."""
    return tuple(dict.fromkeys(_objections(tool)))


def _objections(tool: ForeignTool) -> Iterator[HeldReason]:
    if not _is_bounded(tool.parameters):
        # First and alone: nothing else is looked for in what may be made to take for ever.
        yield HeldReason.SCHEMA_TOO_LARGE
        return
    if tool.parameters.get("type") != "object":
        yield HeldReason.BAD_SCHEMA
    if len(tool.description) > _MOST_CHARACTERS:
        yield HeldReason.TOO_LONG
    for text in (tool.name, tool.description, *_texts(tool.parameters)):
        if visible(text) != text:
            yield HeldReason.HIDDEN_CHARACTERS
        # Without what hides an order from this search, too.
        if _ORDERS.search(visible(text)[: 2 * _MOST_CHARACTERS]):
            yield HeldReason.ORDERS


def visible(text: str) -> str:
    """A text without the characters that people do not see."""
    kept = "".join(one for one in text if one in _ALLOWED or unicodedata.category(one) not in _INVISIBLE_CATEGORIES)
    return _SELECTORS.sub("", kept)


def _is_bounded(value: object) -> bool:
    """Whether a schema is small and flat enough; without recursion, which is what a deep one attacks."""
    waiting: list[tuple[object, int]] = [(value, 1)]
    parts = size = 0
    while waiting:
        one, depth = waiting.pop()
        parts += 1
        size += len(one) if isinstance(one, str) else 8
        if depth > _MOST_DEPTH or parts > _MOST_PARTS or size > _MOST_SCHEMA_BYTES:
            return False
        if isinstance(one, Mapping):
            size += sum(len(str(key)) for key in one)
            waiting += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, list | tuple):
            waiting += [(inner, depth + 1) for inner in one]
    return True


def _texts(value: object) -> Iterator[str]:
    """Every text in a schema, keys included: a model reads them all."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)

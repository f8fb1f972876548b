"""How the fields of an API are translated for a provider that speaks another one: what the documentation's table is
written from, and what the code goes by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class UntranslatableError(ValueError):
    """A request holds something that the other API has no counterpart for."""


class Treatment(StrEnum):
    """What becomes of a field."""

    TRANSLATED = "translated"
    OPTIONAL = "translated; left out where the model refuses it"
    IGNORED = "left out"
    ONLY_NATIVE = "only by a provider of its own kind; any other refuses it"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Translation:
    """One field, or one kind of a part, and what becomes of it."""

    name: str
    treatment: Treatment
    note: str = ""


def by_name(translations: Iterable[Translation]) -> Mapping[str, Treatment]:
    """The treatment of each field."""
    return {one.name: one.treatment for one in translations}


def translation_table(title: str, translations: Iterable[Translation]) -> str:
    """A table in Markdown."""
    rows = (f"| `{one.name}` | {one.treatment.value} | {one.note} |" for one in translations)
    return "\n".join([f"| {title} | what becomes of it | how |", "| --- | --- | --- |", *rows])

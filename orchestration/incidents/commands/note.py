"""Notes on the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Text
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile


@dataclass(frozen=True, slots=True)
class AddNote(IncidentCommand):
    """Write a note on the timeline; possible at any time, also after the incident has ended."""

    text: Annotated[Text, Input("The note.", label="Text", rows=3, argument=True)]

    spec: ClassVar = CommandSpec(
        summary="Add a note to the timeline.",
        console="note",
        api=ApiRoute("note", "notes"),
        page=PageForm(
            "note",
            "noted",
            "Note added to the timeline.",
            title="Add a note",
            button="Add note",
            shown=ShownWhile.ALWAYS,
            order=10,
            undo="none: a note stays; add one that corrects it",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Add the entry."""
        change.add_entry("noted", text=self.text)


@dataclass(frozen=True, slots=True)
class RecordCodeChanges(IncidentCommand):
    """What changed in the code before it began to fail, one sentence for each commit; recorded once."""

    summary: str
    changes: tuple[str, ...]

    spec: ClassVar = CommandSpec(summary="Record changes of the code on the timeline.")

    def apply(self, change: IncidentChange) -> None:
        """Add the entry; `code_changes` is what programs read, `text` is for people."""
        text = "\n".join((self.summary, *(f"  {line}" for line in self.changes)))
        change.add_entry("noted", text=text, code_changes=list(self.changes))


@dataclass(frozen=True, slots=True)
class RecordLikelyCauses(IncidentCommand):
    """A playbook's ranking of the likely causes, the likeliest first."""

    causes: tuple[str, ...]

    spec: ClassVar = CommandSpec(summary="Record the likely causes on the timeline.")

    def apply(self, change: IncidentChange) -> None:
        """Add the entry; `likely_causes` is what programs read, `text` is for people."""
        change.set(likely_causes=self.causes)
        change.add_entry("noted", text=f"likely causes: {'; '.join(self.causes)}", likely_causes=list(self.causes))

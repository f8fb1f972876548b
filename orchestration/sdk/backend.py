"""What a project needs of the system, however it is reached: in this process, or through the API of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from orchestration.domain.run_spec import RunSpec

if TYPE_CHECKING:  # both take long to import
    from orchestration.client import EventRecord, IncidentRecord, RunRecord
    from orchestration.runs.commands.base import RunCommand


@dataclass(frozen=True, slots=True)
class Question:
    """A question that waits for a person's answer; `subject` is the run or the incident that it is about."""

    id: str
    subject: str
    question: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """Every method raises NotFoundError, ConflictError or UsageError as the system does."""

    @property
    def poll_seconds(self) -> float:
        """How often to look for what is new."""

    async def open(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """End what `open` began; unfinished runs of this process can be resumed."""

    async def start(self, spec: RunSpec, key: str | None) -> RunRecord:
        """Start a run, or find the one that is meant: with a `key`, that of the key."""

    async def run(self, run: str) -> RunRecord:
        """A run as it is now."""

    async def runs(self, status: Sequence[str]) -> Sequence[RunRecord]:
        """The newest runs."""

    async def carry_on(self, run: str) -> None:
        """Go on with a run whose process has died, if this is the process to do so."""

    async def give_up(self, run: str) -> None:
        """Stop a run that waits, so that it can be resumed."""

    async def events(self, run: str, after: int) -> Sequence[EventRecord]:
        """The events of a run behind a number, some at a time."""

    async def documents(self, run: str) -> Mapping[str, str]:
        """The texts that a run's agents have delivered."""

    async def execute(self, run: str, command: RunCommand) -> RunRecord:
        """Give a command; returns the run that goes on."""

    async def questions(self, subject: str | None) -> Sequence[Question]:
        """The open questions."""

    async def answer(self, question: str, *, approved: bool, reason: str) -> None:
        """Answer a question."""

    async def incidents(self) -> Sequence[IncidentRecord]:
        """The newest incidents."""

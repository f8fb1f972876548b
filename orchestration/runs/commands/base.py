"""What every run command is: a command with one asynchronous `apply`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from orchestration.commands.command import Command
from orchestration.storage.runs import Run

if TYPE_CHECKING:  # they bring the durable engine, which takes long to import; a console command may only list
    from orchestration.runs.changes import RunChanges
    from orchestration.runs.launcher import RunLauncher
    from orchestration.workflows.run_control import RunControl


class ShownFor(Enum):
    """For runs in which state their page offers a form."""

    UNFINISHED = "unfinished"
    RESUMABLE = "resumable"
    FORKABLE = "forkable"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class RunHandles:
    """What commands change runs with. `queue` is as for RunLauncher; `by` names who gives the command."""

    launcher: RunLauncher
    control: RunControl
    changes: RunChanges
    queue: bool | None
    by: str


class RunCommand(Command, ABC):
    """Something that a person does to a run.

    A command that is `followed` sets a run going, and the console follows that run to its end.
    """

    __slots__ = ()
    followed: ClassVar[bool] = False

    @abstractmethod
    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        """Do it; returns the run that goes on. Raises ConflictError where the run's state does not allow it."""

    def report(self, run: Run) -> str:
        """What was done, for the console."""
        return f"{run.id}: {run.status}; go on with: orchestrator runs resume {run.id}"

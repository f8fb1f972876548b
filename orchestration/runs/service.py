"""Commands for runs, as people give them from any surface."""

from __future__ import annotations

import anyio.to_thread

from orchestration.runs.changes import RunChanges
from orchestration.runs.commands.base import RunCommand, RunHandles
from orchestration.runs.launcher import RunLauncher
from orchestration.security.redaction import Redactor
from orchestration.storage.runs import Run, Runs
from orchestration.workflows.run_control import RunControl


class RunService:
    """Receives every command for a run."""

    def __init__(
        self, launcher: RunLauncher, control: RunControl, changes: RunChanges, runs: Runs, redactor: Redactor
    ) -> None:
        self.changes = changes
        self._launcher = launcher
        self._control = control
        self._runs = runs
        self._redactor = redactor

    async def execute(self, text: str, command: RunCommand, *, by: str, queue: bool | None = None) -> Run:
        """Apply a command to the run that a text names; returns the run that goes on, as it then is.

        Raises NotFoundError, and ConflictError where the run's state does not allow it.
        """
        run = await anyio.to_thread.run_sync(self._runs.find, text)
        handles = RunHandles(self._launcher, self._control, self.changes, queue, by)
        changed = await command.redacted(self._redactor.text).apply(handles, run.id)
        return await anyio.to_thread.run_sync(self._runs.get, changed.id)

"""Protocols that the coordinator defines and upper layers implement; `app` passes the implementations in."""

from __future__ import annotations

from typing import Protocol

from orchestration.storage.runs import Run
from orchestration.workflows.model import CommandRecord


class RunWorkspacePort(Protocol):
    """A run's workspace and its artifacts."""

    async def snapshot(self, run: Run) -> str:
        """Record the workspace as it is; returns the identifier of the record."""
        ...

    async def patch(self, run: Run, before: str, after: str) -> str:
        """What changed between two snapshots, as a patch."""
        ...

    async def check(self, run: Run, command: tuple[str, ...]) -> CommandRecord:
        """Run one of the run's checks in the workspace."""
        ...

    async def write(self, run: Run, name: str, text: str, agent: str) -> None:
        """Write an artifact; writing the same text again changes nothing."""
        ...

    async def keep(self, run: Run, name: str, text: str, agent: str) -> None:
        """Write an artifact again if its file is not as it was written."""
        ...

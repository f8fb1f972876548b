"""Protocols that the coordinator defines and upper layers implement; `app` passes the implementations in."""

from __future__ import annotations

from typing import Protocol

from orchestration.storage.runs import Run
from orchestration.workflows.model import CommandRecord, ProjectBrief


class RunWorkspacePort(Protocol):
    """A run's workspace and its artifacts."""

    async def open(self, run: Run) -> str:
        """Make the folder that the run works in; returns the identifier of a record of the files in it."""
        ...

    async def brief(self, run: Run) -> ProjectBrief:
        """What agents are told of the project before they begin."""
        ...

    async def snapshot(self, run: Run) -> str:
        """Record the workspace as it is; returns the identifier of the record."""
        ...

    async def patch(self, run: Run, before: str, after: str) -> str:
        """What changed between two snapshots, as a patch."""
        ...

    async def check(self, run: Run, command: tuple[str, ...]) -> CommandRecord:
        """Run one of the run's checks in the workspace."""
        ...

    async def write(self, run: Run, name: str, text: str, agent: str, patch: tuple[str, str] | None = None) -> None:
        """Write an artifact; writing the same text again changes nothing. With `patch`, the whole patch between two
        snapshots is written, of which the text may name parts only."""
        ...

    async def keep(self, run: Run, name: str, text: str, agent: str, patch: tuple[str, str] | None = None) -> None:
        """Write an artifact again if its file is not as it was written."""
        ...

"""A run's workspace and artifacts, as the coordinator needs them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from orchestration.agents import sandbox
from orchestration.agents.sandbox import SandboxLimits
from orchestration.agents.workspace import Workspace
from orchestration.events import Bus
from orchestration.storage.runs import Run
from orchestration.workflows.artifacts import ArtifactStore
from orchestration.workflows.model import CommandRecord

_SHOWN_CHARACTERS = 8000


class Workbench:
    """Opens the workspace of a run when it is needed; keeps nothing that a restart would lose."""

    def __init__(self, state_folder: Path, artifacts: ArtifactStore, bus: Bus, redact: Callable[[str], str]) -> None:
        self._state_folder = state_folder
        self._artifacts = artifacts
        self._bus = bus
        self._redact = redact
        self._open: dict[str, Workspace] = {}

    def workspace(self, run: Run) -> Workspace:
        """The workspace of a run, with its shadow repository."""
        if run.id not in self._open:
            shadow = self._state_folder / "shadow" / f"{run.id}.git"
            self._open[run.id] = Workspace(Path(run.workspace), shadow)
        return self._open[run.id]

    async def snapshot(self, run: Run) -> str:
        """Record the workspace as it is; returns the identifier of the record."""
        return await self.workspace(run).snapshot()

    async def patch(self, run: Run, before: str, after: str) -> str:
        """What changed between two snapshots, as a patch, redacted."""
        return self._redact(await self.workspace(run).diff(before, after))

    async def check(self, run: Run, command: tuple[str, ...]) -> CommandRecord:
        """Run one of the run's checks in the workspace."""
        result = await sandbox.run(command, cwd=self.workspace(run).root, limits=SandboxLimits())
        return command_record(command, result.exit_code, self._redact(result.output))

    async def write(self, run: Run, name: str, text: str, agent: str) -> None:
        """Keep an artifact, redacted; doing it again with the same text changes nothing."""
        artifact = self._artifacts.write(run.id, name, self._redact(text), agent)
        self._bus.emit("artifact.written", run_id=run.id, agent=agent, name=name, sha256=artifact.sha256)

    async def export(self, run: Run, tree: str, target: Path) -> None:
        """Put a snapshot's files into a new folder, named like the run that will work there, with the history."""
        await self.workspace(run).export(tree, target)
        shadows = self._state_folder / "shadow"
        await anyio.to_thread.run_sync(_copy_history, shadows / f"{run.id}.git", shadows / f"{target.name}.git")


def _copy_history(source: Path, target: Path) -> None:
    """Begin a history with all that another one holds. Git never changes an object, so both may have the same file."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("objects", "*.lock"))
    shutil.copytree(source / "objects", target / "objects", copy_function=os.link)


def command_record(command: tuple[str, ...], exit_code: int | None, output: str) -> CommandRecord:
    """A command with the end of what it printed: that is where the verdict stands."""
    cut = output if len(output) <= _SHOWN_CHARACTERS else "…" + output[-_SHOWN_CHARACTERS:]
    return CommandRecord(command=command, exit_code=exit_code, output=cut)

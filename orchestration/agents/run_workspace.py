"""A run's workspace and artifacts: implements the coordinator's port."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakValueDictionary

from orchestration.agents import sandbox
from orchestration.agents.isolation_policy import IsolationPolicy
from orchestration.agents.sandbox import SandboxLimits
from orchestration.agents.workspace import Workspace
from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.runs import ArtifactRestored, ArtifactWritten
from orchestration.security.redaction_events import ReportingRedactor
from orchestration.storage.runs import Run
from orchestration.workflows.artifacts import QUARANTINE, ArtifactStore
from orchestration.workflows.heartbeat import HeartbeatEmitter
from orchestration.workflows.model import CommandRecord

_SHOWN_CHARACTERS = 8000
# The name under which the run's checks report progress.
_CHECKER = "checks"


class RunWorkspace:
    """Opens the workspace of a run when it is needed; has no state that a restart would lose."""

    def __init__(
        self,
        state_folder: Path,
        artifacts: ArtifactStore,
        bus: EventBus,
        clock: Clock,
        redactor: ReportingRedactor,
        isolation: IsolationPolicy,
    ) -> None:
        self._state_folder = state_folder
        self._artifacts = artifacts
        self._bus = bus
        self._clock = clock
        self._redactor = redactor
        self._isolation = isolation
        # Weak references: while somebody uses a workspace, all users of it share its lock.
        self._open: WeakValueDictionary[str, Workspace] = WeakValueDictionary()

    def workspace(self, run: Run) -> Workspace:
        """The workspace of a run, with its shadow repository."""
        workspace = self._open.get(run.id)
        if workspace is None:
            workspace = Workspace(Path(run.workspace), self._shadow(run.id))
            self._open[run.id] = workspace
        return workspace

    async def snapshot(self, run: Run) -> str:
        """Record the workspace as it is; returns the identifier of the record."""
        return await self.workspace(run).snapshot()

    async def patch(self, run: Run, before: str, after: str) -> str:
        """What changed between two snapshots, as a patch, redacted."""
        return self._redactor.text(await self.workspace(run).diff(before, after), "a patch", run_id=run.id)

    async def check(self, run: Run, command: tuple[str, ...]) -> CommandRecord:
        """Run one of the run's checks in the workspace."""
        heartbeat = HeartbeatEmitter(
            self._bus, self._clock, run_id=run.id, agent=_CHECKER, agent_run_id=f"{run.id}.{_CHECKER}"
        )
        heartbeat.beat(f"runs {command[0]}")

        def on_output(count: int) -> None:
            heartbeat.beat(f"{command[0]} printed {count:,} bytes")

        root = self.workspace(run).root
        result = await sandbox.run(command, root, SandboxLimits(isolation=self._isolation(root)), on_output=on_output)
        output = self._redactor.text(result.output, "a check's output", run_id=run.id)
        return command_record(command, result.exit_code, output, result.stopped)

    async def write(self, run: Run, name: str, text: str, agent: str) -> None:
        """Write an artifact, redacted; writing the same text again changes nothing."""
        clean = self._redactor.text(text, "an artifact", run_id=run.id, agent=agent)
        artifact = self._artifacts.write(run.id, name, clean, agent)
        self._bus.publish(ArtifactWritten(name=name, sha256=artifact.sha256), run_id=run.id, agent=agent)

    async def keep(self, run: Run, name: str, text: str, agent: str) -> None:
        """Write an artifact again if its file is not as it was written. One in quarantine stays there."""
        written = next((one for one in self._artifacts.list(run.id) if one.name == name), None)
        problem = "missing" if written is None else self._artifacts.problem(written)
        if problem is None or any((self._state_folder / QUARANTINE).glob(f"*/{run.id}/{name}")):
            return
        if problem == "changed":
            self._artifacts.set_aside(run.id, name)
        await self.write(run, name, text, agent)
        self._bus.publish(ArtifactRestored(name=name, problem=problem), run_id=run.id, agent=agent)

    async def export(self, run: Run, tree: str, target: Path) -> None:
        """Put a snapshot's files into a new folder, named like the run that will work there, with the history."""
        await self.workspace(run).export(tree, target)
        await Workspace(target, self._shadow(target.name)).begin_with(self.workspace(run))

    def _shadow(self, run_id: str) -> Path:
        return self._state_folder / "shadow" / f"{run_id}.git"


def command_record(command: tuple[str, ...], exit_code: int | None, output: str, stopped: str | None) -> CommandRecord:
    """A command with the end of its output, where test runners print their verdict, and why it was stopped, if it
    was."""
    text = output if stopped is None else f"{output.rstrip()}\n[stopped: {stopped}]".lstrip()
    cut = text if len(text) <= _SHOWN_CHARACTERS else "…" + text[-_SHOWN_CHARACTERS:]
    return CommandRecord(command=command, exit_code=exit_code, output=cut)

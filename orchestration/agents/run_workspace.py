"""A run's workspace and artifacts: implements the coordinator's port."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from orchestration.agents import patches, sandbox
from orchestration.agents.call_recorder import CallRecorder
from orchestration.agents.context_budget import map_tokens
from orchestration.agents.network_gate import hosts_reached
from orchestration.agents.original_files import OriginalFiles
from orchestration.agents.project_brief import project_brief, project_map
from orchestration.agents.sandbox import OutputCallback, SandboxLimits
from orchestration.agents.workspace import FileChange, Workspace, WorkspaceError
from orchestration.agents.worktrees import Worktrees
from orchestration.clock import Clock
from orchestration.domain.work_phase import WorkPhase
from orchestration.errors import ConflictError
from orchestration.events import EventBus
from orchestration.events.runs import ArtifactRestored, ArtifactWritten, CheckFinished, WorktreeUpdated
from orchestration.ids import new_id
from orchestration.security.redaction_events import ReportingRedactor
from orchestration.security.scan import added
from orchestration.security.secret_search import is_suspected
from orchestration.storage.call_records import CallKind
from orchestration.storage.runs import Run
from orchestration.workflows.artifacts import QUARANTINE, ArtifactStore
from orchestration.workflows.heartbeat import Activity, HeartbeatEmitter
from orchestration.workflows.model import CommandRecord, ProjectBrief

_SHOWN_CHARACTERS = 8000
_SHOWN_OF_COMMAND = 120
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
        limits: Callable[[Path], SandboxLimits],
        recorder: CallRecorder,
        own: Sequence[Path] = (),
        window: Callable[[Run], Awaitable[int | None]] | None = None,
    ) -> None:
        """`limits` are those of a check in a folder; `own` are files and folders of ours, which a run never takes
        along. `window` is the context of the models that plan a run, in tokens, where it is known."""
        self._state_folder = state_folder
        self._artifacts = artifacts
        self._bus = bus
        self._clock = clock
        self._redactor = redactor
        self._limits = limits
        self._recorder = recorder
        self._window = window
        self._own = (state_folder, artifacts.folder, *own)
        self.worktrees = Worktrees(state_folder / "worktrees", self._own)
        self.originals = OriginalFiles(self._shadow, self.worktrees)
        # Weak references: while somebody uses a workspace, all users of it share its lock.
        self._open: WeakValueDictionary[str, Workspace] = WeakValueDictionary()

    def workspace(self, run: Run) -> Workspace:
        """The workspace of a run, with its shadow repository."""
        workspace = self._open.get(run.id)
        if workspace is None:
            record = self.worktrees.record(run.id) if run.has_worktree else None
            workspace = Workspace(Path(record.top if record else run.folder), self._shadow(run.id), self._own)
            self._open[run.id] = workspace
        return workspace

    async def open(self, run: Run) -> str:
        """Make the run's worktree, if it is to have one; returns a record of the files that it begins with."""
        if not run.has_worktree:
            tree = await self.snapshot(run)
            await anyio.to_thread.run_sync(self.originals.remember, run.id, tree)
            return tree
        record = await self.worktrees.open(run.id, Path(run.workspace), partial(self._history, run.id))
        return record.baseline

    def _history(self, run_id: str, root: Path, left_out: Sequence[Path]) -> Workspace:
        return Workspace(root, self._shadow(run_id), left_out)

    async def update(self, run: Run) -> None:
        """Bring the run's worktree up to date with what is in the user's tree by now. Nobody may work on the run.

        Raises ConflictError, with nothing changed, where both have changed the same places.
        """
        if not run.has_worktree or self.worktrees.record(run.id) is None:
            return
        history = self.workspace(run)
        try:
            done = await self.worktrees.update(
                run.id, partial(self._history, run.id), history, partial(self._is_secret, history)
            )
        except ConflictError as error:
            raise ConflictError(
                f"{run.id} cannot go on with what was committed to {run.workspace} since it began. {error}. Bring both "
                f"together by hand (`git merge` in {run.folder}), or go on without it: "
                f"orchestrator runs resume {run.id} --keep-base"
            ) from error
        if done is not None:
            self._bus.publish(WorktreeUpdated(commit=done.commit, files=done.files), run_id=run.id)

    async def preserve(self, run: Run) -> bool:
        """Commit what is left in the worktree of a run that has ended to its branch, before the worktree is removed.
        Returns whether the branch holds changes that nobody has applied. Raises WorkspaceError if some cannot be
        kept."""
        record = self.worktrees.record(run.id)
        if record is None or record.applied_at or not await anyio.Path(record.top).is_dir():
            return False
        history = self.workspace(run)
        tree = await history.snapshot()
        changes = await history.changes(record.baseline, tree)
        if left_out := [one.path for one in changes if await self._is_secret(history, one)]:
            raise WorkspaceError(f"{', '.join(left_out)} hold a secret, and get into no commit")
        if changes:
            await self.worktrees.commit(run.id, history, tree, patches.commit_message(run, ()), ())
        return bool(changes)

    def baseline(self, run: Run) -> str:
        """The record of the files that the run's changes are counted from, if that is not the one it began with."""
        record = self.worktrees.record(run.id) if run.has_worktree else None
        return record.baseline if record is not None and record.updated else ""

    async def brief(self, run: Run) -> ProjectBrief:
        """What agents are told of the project before they begin."""
        root = Path(run.folder)
        tokens = map_tokens(await self._window(run) if self._window else None)
        return ProjectBrief(
            instructions=await anyio.to_thread.run_sync(project_brief, root),
            map=await anyio.to_thread.run_sync(project_map, root, tokens),
        )

    async def snapshot(self, run: Run) -> str:
        """Record the workspace as it is; returns the identifier of the record."""
        return await self.workspace(run).snapshot()

    async def patch(self, run: Run, before: str, after: str) -> str:
        """What changed between two snapshots, as a patch for agents to read, redacted; a run's worktree gets it as a
        commit on the run's branch. What is binary or too long is only named."""
        whole = await self.workspace(run).patch(before, after)
        if run.has_worktree and self.worktrees.record(run.id) is not None:
            await self._commit(run, after)
        return patches.readable(self._redacted(whole, run))

    async def _commit(self, run: Run, tree: str) -> None:
        history = self.workspace(run)
        record = self.worktrees.record(run.id)
        changes = await history.changes(record.baseline, tree) if record else ()
        secret = [one.path for one in changes if await self._is_secret(history, one)]
        await self.worktrees.commit(run.id, history, tree, patches.commit_message(run, secret), secret)

    async def _is_secret(self, history: Workspace, change: FileChange) -> bool:
        """Whether a change brings a secret, which must not get into a commit, since that is for ever. What was in the
        file before is in the user's history already; what only may be a secret is for the user to judge."""
        if change.new is None:
            return False
        new = (await history.blob(change.new)).decode("utf-8", "replace")
        found = await anyio.to_thread.run_sync(self._redactor.find, new)
        certain = [one for one in found if not is_suspected(one.kind)]
        if not certain:
            return False
        old = "" if change.old is None else (await history.blob(change.old)).decode("utf-8", "replace")
        return next(added(certain, new, old), None) is not None

    def _redacted(self, patch: bytes, run: Run) -> bytes:
        """The patch without secrets. The data of binary files is left alone: it is compressed, and a change would break
        it."""
        parts = patches.sections(patch)
        return b"".join(part if patches.is_binary(part) else self._redacted_text(part, run) for part in parts)

    def _redacted_text(self, part: bytes, run: Run) -> bytes:
        text = part.decode("utf-8", "surrogateescape")
        return self._redactor.text(text, "a patch", run_id=run.id).encode("utf-8", "surrogateescape")

    async def whole_patch(self, run: Run, before: str, after: str) -> bytes:
        """What changed between two snapshots, as a patch that `git apply` takes, redacted."""
        return self._redacted(await self.workspace(run).patch(before, after), run)

    async def check(self, run: Run, command: tuple[str, ...]) -> CommandRecord:
        """Run one of the run's checks in the workspace."""
        heartbeat = HeartbeatEmitter(
            self._bus, self._clock, self._redactor, run_id=run.id, agent=_CHECKER, agent_run_id=f"{run.id}.{_CHECKER}"
        )
        about = self._redactor.quiet(" ".join(command))[:_SHOWN_OF_COMMAND]
        activity = Activity(f"runs {command[0]}", WorkPhase.TOOL, about)
        heartbeat.beat(activity)
        started = self._clock.monotonic()
        # Never the same again: a check that is repeated is another one, of other files.
        key = f"{run.id}.{_CHECKER}/{new_id('check', self._clock.now().timestamp())}"
        recording = self._recorder.begin(key, run.id, _CHECKER, CallKind.CHECK, name=command[0], command=list(command))
        async with heartbeat.ticking():
            record = await self._checked(run, command, partial(heartbeat.beat, activity))
        recording.add(output=record.output, exit_code=record.exit_code)
        seconds = self._clock.monotonic() - started
        self._bus.publish(CheckFinished(key, about, record.exit_code, seconds), run_id=run.id, agent=_CHECKER)
        return record

    async def _checked(self, run: Run, command: tuple[str, ...], on_output: OutputCallback) -> CommandRecord:
        root = Path(run.folder)
        limits = self._limits(root)
        result = await sandbox.run(command, root, limits, on_output=on_output)
        if result.was_killed:
            # From outside, which says nothing about the work.
            result = await sandbox.run(command, root, limits, on_output=on_output)
        if result.hosts:
            self._bus.publish(hosts_reached(result.hosts), run_id=run.id, agent=_CHECKER)
        output = self._redactor.text(result.output, "a check's output", run_id=run.id)
        return command_record(command, result.exit_code, output, result.stopped)

    async def write(self, run: Run, name: str, text: str, agent: str, patch: tuple[str, str] | None = None) -> None:
        """Write an artifact, redacted; writing the same text again changes nothing. With `patch`, the whole patch
        between two snapshots is written, which a text cannot always hold."""
        if patch is None:
            clean = self._redactor.text(text, "an artifact", run_id=run.id, agent=agent).encode()
        else:
            clean = await self.whole_patch(run, *patch)
        artifact = self._artifacts.write(run.id, name, clean, agent)
        self._bus.publish(ArtifactWritten(name=name, sha256=artifact.sha256), run_id=run.id, agent=agent)

    async def keep(self, run: Run, name: str, text: str, agent: str, patch: tuple[str, str] | None = None) -> None:
        """Write an artifact again if its file is not as it was written. One in quarantine stays there."""
        written = next((one for one in self._artifacts.list(run.id) if one.name == name), None)
        problem = "missing" if written is None else self._artifacts.problem(written)
        if problem is None or any((self._state_folder / QUARANTINE).glob(f"*/{run.id}/{name}")):
            return
        if problem == "changed":
            self._artifacts.set_aside(run.id, name)
        await self.write(run, name, text, agent, patch)
        self._bus.publish(ArtifactRestored(name=name, problem=problem), run_id=run.id, agent=agent)

    async def export(self, run: Run, tree: str, baseline: str, fork: Run) -> None:
        """Put a snapshot's files where a fork of the run will work: into a new folder or a worktree, with the
        history. `baseline` is what its changes are counted from."""
        history = self.workspace(run)
        root = Path(fork.workspace)
        await Workspace(root, self._shadow(fork.id)).begin_with(history)
        if fork.has_worktree:
            origin = self.worktrees.record(run.id)
            origin = origin.at(baseline) if origin is not None else None
            await self.worktrees.open(fork.id, root, partial(self._history, fork.id), tree, origin)
            # It may go on with the files as they were then: it is another way from there.
            with contextlib.suppress(ConflictError):
                await self.update(fork)
        else:
            await history.export(tree, root)

    def history_of(self, run: Run) -> Path:
        """The folder with the snapshots of a run."""
        return self._shadow(run.id)

    def _shadow(self, run_id: str) -> Path:
        return self._state_folder / "shadow" / f"{run_id}.git"


def command_record(command: tuple[str, ...], exit_code: int | None, output: str, stopped: str | None) -> CommandRecord:
    """A command with the end of its output, where test runners print their verdict, and why it was stopped, if it
    was."""
    text = output if stopped is None else f"{output.rstrip()}\n[stopped: {stopped}]".lstrip()
    cut = text if len(text) <= _SHOWN_CHARACTERS else "…" + text[-_SHOWN_CHARACTERS:]
    return CommandRecord(command=command, exit_code=exit_code, output=cut)

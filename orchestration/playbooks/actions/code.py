"""Actions on code: what changed since it last worked, which commit broke the checks, and a branch that takes it back.

Whatever is tried is tried in folders of our own. In the user's repository nothing changes but a new branch, and that
only when a person has said yes.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread

from orchestration.agents import sandbox
from orchestration.agents.code_history import CodeCommit, CodeHistory, CodeHistoryError, code_history, first_failing
from orchestration.agents.isolation_policy import isolation_for
from orchestration.agents.sandbox import SandboxLimits
from orchestration.domain.duty import DutyKind, DutyRequest
from orchestration.errors import NotFoundError
from orchestration.incidents.commands.note import RecordCodeChanges
from orchestration.incidents.model import Actor
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    P,
    Parameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.last_good import last_success
from orchestration.playbooks.model import Mode, Risk
from orchestration.storage.agent_outcomes import AgentOutcomes
from orchestration.storage.runs import Run

# Where no agent has succeeded yet.
_RECENT = timedelta(days=1)
# Of each repository; a person reads them at night.
_SHOWN = 20
# Sixteen thousand commits: nobody had so many between two runs.
_MOST_STEPS = 14
_CHECK_SECONDS = 600.0
# An approval is read on a telephone, too.
_SHOWN_PATCH = 3000


class ChangedSince(Parameters):
    """Changes since these agents last succeeded, or any agent if none is named; in the project, and in the workspaces
    of these runs."""

    runs: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()


class RevertParameters(Parameters):
    """A commit, and a folder in its repository."""

    workspace: str
    commit: str


class BranchUndo(UndoState):
    """The branch that undoing deletes, as long as it is at this commit."""

    workspace: str
    branch: str
    commit: str


class CodeAction(Action[P]):
    """What the actions on code share."""

    @contextlib.asynccontextmanager
    async def history(self, folder: Path) -> AsyncIterator[CodeHistory]:
        """The history of the repository that a folder is in. Raises CodeHistoryError."""
        async with code_history(folder, self.services.state_folder / "code") as history:
            yield history

    def since(self, context: ActionContext, agents: Sequence[str]) -> datetime:
        """When these agents last succeeded."""
        outcomes = AgentOutcomes(self.services.database).list(agents)
        if not agents:
            outcomes = tuple(one for one in outcomes if one.failure is None)[:1]
        return last_success(outcomes) or context.now - _RECENT

    def runs_of(self, names: Sequence[str]) -> list[Run]:
        """The runs of these names that exist."""
        found = []
        for name in names:
            try:
                found.append(self.services.runs.get(name))
            except NotFoundError:
                continue
        return found


@action
class CodeEvidence(CodeAction[ChangedSince]):
    """Find what changed in the code."""

    name = "evidence.git"
    summary = "read the commits of the project and of the runs' workspaces since the agents last succeeded"
    finds = ("recent", "commits", "suspects")

    async def run(self, context: ActionContext, parameters: ChangedSince) -> ActionOutcome:
        since = await anyio.to_thread.run_sync(self.since, context, parameters.agents)
        runs = await anyio.to_thread.run_sync(self.runs_of, parameters.runs)
        folders = dict.fromkeys((self.services.root, *(Path(run.workspace) for run in runs)))
        changes = await self._changes(list(folders), since)
        if not changes:
            none = {"recent": False, "commits": [], "suspects": []}
            return ActionOutcome("there is no history that git could read", none)
        # Only checks that the run has can say which commit is to blame.
        changed = {folder for folder, (commits, _) in changes.items() if commits}
        suspects = [run.id for run in runs if run.options.get("checks") and Path(run.workspace) in changed]
        # Several folders may be in one repository.
        repositories = {common: commits for commits, common in changes.values()}
        lines = [commit.sentence() for commits in repositories.values() for commit in commits]
        if lines and context.key:
            await anyio.to_thread.run_sync(self._record, context, since, lines)
        newest = f", the newest: {lines[0]}" if lines else ""
        return ActionOutcome(
            f"{len(lines)} commits since {since:%Y-%m-%d %H:%M} UTC{newest}",
            {"recent": bool(lines), "commits": lines, "suspects": suspects},
            {str(common): [commit.as_json() for commit in commits] for common, commits in repositories.items()},
        )

    async def _changes(self, folders: Sequence[Path], since: datetime) -> dict[Path, tuple[Sequence[CodeCommit], Path]]:
        """By folder, the commits since then, and where its repository is."""
        found: dict[Path, tuple[Sequence[CodeCommit], Path]] = {}
        for folder in folders:
            # Not every folder has a history, and the other evidence counts all the same.
            with contextlib.suppress(CodeHistoryError):
                async with self.history(folder) as history:
                    found[folder] = await history.since(since, _SHOWN), history.common
        return found

    def _record(self, context: ActionContext, since: datetime, lines: Sequence[str]) -> None:
        entries = self.services.incidents.entries(context.incident_id)
        # The step may be repeated after a crash, and a reopened incident looks once more.
        if any(entry.data.get("code_changes") == list(lines) for entry in entries):
            return
        summary = f"{len(lines)} changes of the code since it last worked, at {since:%Y-%m-%d %H:%M} UTC:"
        command = RecordCodeChanges(summary, tuple(lines))
        self.services.incident_service.execute(context.incident_id, Actor(context.actor), command)


@action
class Bisect(CodeAction[ChangedSince]):
    """Find the commit that broke the checks of a run."""

    name = "code.bisect"
    summary = "find the commit with which the checks of a run began to fail, in a folder of its own"
    # It changes nothing, but it runs the project's own commands, which a dry run must not.
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: it has changed nothing"
    finds = ("workspace", "culprit", "commit")

    def targets(self, parameters: ChangedSince) -> tuple[str, ...]:
        return parameters.runs

    async def preview(self, context: ActionContext, parameters: ChangedSince) -> str:
        return f"run the checks of {', '.join(parameters.runs)} on earlier commits, in a folder of its own"

    async def run(self, context: ActionContext, parameters: ChangedSince) -> ActionOutcome:
        since = await anyio.to_thread.run_sync(self.since, context, parameters.agents)
        problems: list[str] = []
        for run in await anyio.to_thread.run_sync(self.runs_of, parameters.runs):
            try:
                async with self.history(Path(run.workspace)) as history:
                    return await self._find(history, run, since)
            except (ActionError, CodeHistoryError) as error:
                problems.append(str(error))
        raise ActionError("; ".join(dict.fromkeys(problems)) or "there is no run with checks")

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "nothing had to be undone"

    async def _find(self, history: CodeHistory, run: Run, since: datetime) -> ActionOutcome:
        line = await history.line_since(since)
        checks = [tuple(command) for command in run.options.get("checks", ())]
        if not line or not checks:
            raise ActionError(f"no commit of {run.workspace} since {since:%Y-%m-%d %H:%M} UTC can be checked")
        if len(line) > 2**_MOST_STEPS:
            raise ActionError(f"{len(line)} commits are too many to be checked")
        good, *suspects = line

        async def passes(commit: str) -> bool:
            return await self._passes(history, commit, checks)

        if await passes(history.head):
            raise ActionError("the checks pass on the newest commit, so no commit is to blame")
        if not await passes(good):
            raise ActionError(f"the checks fail on {good[:10]} as well, with which it worked, so they cannot tell")
        culprit = await first_failing(suspects, passes)
        commit = next((one for one in await history.since(since, len(line) * 10) if one.id == culprit), None)
        sentence = commit.sentence() if commit else culprit[:10]
        findings = {"workspace": run.workspace, "culprit": culprit, "commit": sentence}
        return ActionOutcome(f"the checks began to fail with {sentence}", findings, undo={})

    async def _passes(self, history: CodeHistory, commit: str, checks: Sequence[tuple[str, ...]]) -> bool:
        async with history.exported(commit) as folder:
            isolation = isolation_for(self.services.configuration(), self.services.root, folder)
            limits = SandboxLimits(seconds=_CHECK_SECONDS, isolation=isolation)
            for command in checks:
                ended = await sandbox.run(command, folder, limits)
                if ended.stopped is not None:
                    raise ActionError(f"`{' '.join(command)}` was stopped on {commit[:10]}: {ended.stopped}")
                if not ended.ok:
                    return False
        return True


@action
class Revert(CodeAction[RevertParameters], ReversibleAction[RevertParameters, BranchUndo]):
    """Prepare a branch that takes a commit back."""

    name = "code.revert"
    summary = "add a branch on which a commit is reverted; nothing is merged, checked out or pushed"
    undo_summary = "the branch is deleted"
    finds = ("branch",)

    def targets(self, parameters: RevertParameters) -> tuple[str, ...]:
        return (parameters.commit,)

    def at_most(self, parameters: RevertParameters) -> Mode:
        # The repository is the user's.
        return Mode.ASK

    async def preview(self, context: ActionContext, parameters: RevertParameters) -> str:
        async with self.history(Path(parameters.workspace)) as history:
            patch = (await history.revert(parameters.commit)).patch
        shown = patch if len(patch) <= _SHOWN_PATCH else f"{patch[:_SHOWN_PATCH]}\n[…]"
        return f"add the branch {branch_of(parameters.commit)} to {parameters.workspace}, with this change:\n{shown}"

    async def run(self, context: ActionContext, parameters: RevertParameters) -> ActionOutcome:
        branch = branch_of(parameters.commit)
        async with self.history(Path(parameters.workspace)) as history:
            reverted = await history.revert(parameters.commit)
            await history.add_branch(branch, reverted.id)
        undo = BranchUndo(workspace=parameters.workspace, branch=branch, commit=reverted.id)
        summary = f"the branch {branch} takes {parameters.commit[:10]} back; merge it, then resume the run"
        duty = DutyRequest(
            DutyKind.MERGE_BRANCH,
            merge_subject(reverted.id, parameters.workspace),
            f"merge the branch {branch} in {parameters.workspace}, or decide what becomes of {parameters.commit[:10]}",
        )
        return ActionOutcome(
            summary, {"branch": branch}, {"patch": reverted.patch}, undo=undo.as_json(), duties=(duty,)
        )

    async def revert(self, context: ActionContext, state: BranchUndo) -> str:
        try:
            async with self.history(Path(state.workspace)) as history:
                await history.remove_branch(state.branch, state.commit)
        except CodeHistoryError as error:
            raise ActionError(str(error)) from error
        return f"the branch {state.branch} was deleted"


def merge_subject(commit: str, workspace: str) -> str:
    """What the duty to merge a commit is about, from which its proof finds both; as git writes `commit:path`."""
    return f"{commit}:{workspace}"


def branch_of(commit: str) -> str:
    """The branch on which a commit is taken back."""
    return f"orchestrator/revert-{commit[:12]}"

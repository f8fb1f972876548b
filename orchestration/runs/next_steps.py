"""What a person can do with a run that has not succeeded: commands to copy. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from orchestration.domain.run_status import RunEnding, RunStatus
from orchestration.storage.runs import Run, ending_of
from orchestration.workflows.documents import PATCH


@dataclass(frozen=True, slots=True)
class NextStep:
    """A command in the project's folder, and what it is for in one or two words."""

    name: str
    command: str


def next_steps(run: Run, artifacts: Sequence[Path] = ()) -> tuple[NextStep, ...]:
    """What can be done with a run. One that has succeeded in the user's own folder needs nothing."""
    if run.status is RunStatus.SUCCEEDED:
        return _about_the_changes(run, artifacts)
    if not run.status.ended and run.status is not RunStatus.STOPPED:
        return NextStep("look", f"orchestrator runs show {run.id}"), NextStep("stop", _command("cancel", run))
    ending = ending_of(run)
    ways = _AFTER[ending](run) if ending in _AFTER else (NextStep("go on", _command("resume", run)),)
    return (*ways, *_about_the_changes(run, artifacts))


def _after_review(run: Run) -> tuple[NextStep, ...]:
    return NextStep("improve", f"{_command('resume', run)} --rounds 2"), NextStep("fork", _command("fork", run))


def _after_checks(run: Run) -> tuple[NextStep, ...]:
    # The checks are what is repeated: somebody may have put the workspace right in between.
    return NextStep("check", _command("resume", run)), NextStep("fork", _command("fork", run))


def _after_limit(run: Run) -> tuple[NextStep, ...]:
    # What was done is in the workspace, so that a new run continues from there, with limits of its own.
    workspace = shlex.quote(run.workspace)
    again = f"orchestrator run --workspace {workspace} {shlex.quote(run.goal.strip())}"
    return NextStep("go on", _command("resume", run)), NextStep("again", again)


def _fork_only(run: Run) -> tuple[NextStep, ...]:
    return (NextStep("fork", _command("fork", run)),)


def _about_the_changes(run: Run, artifacts: Sequence[Path]) -> tuple[NextStep, ...]:
    """How to keep the changes or to take them back. They are in the worktree or the workspace, approved or not."""
    if run.has_worktree:
        if not run.status.ended:
            return ()
        ways = {"see": "diff", "apply": "apply", "discard": "discard"}
        return tuple(NextStep(name, _command(command, run)) for name, command in ways.items())
    patch = next((path for path in artifacts if path.name == PATCH), None)
    if run.status is not RunStatus.NOT_APPROVED or patch is None:
        return ()
    git = f"git -C {shlex.quote(run.workspace)}"
    discard = f"{git} apply --reverse {shlex.quote(str(patch))}"
    return NextStep("keep", f"{git} diff"), NextStep("discard", discard)


def _command(name: str, run: Run) -> str:
    return f"orchestrator runs {name} {run.id}"


_AFTER: Mapping[RunEnding | None, Callable[[Run], tuple[NextStep, ...]]] = MappingProxyType(
    {
        RunEnding.CHANGES_REQUESTED: _after_review,
        RunEnding.CHECK_FAILED: _after_checks,
        RunEnding.APPROVAL_DENIED: _fork_only,
        RunEnding.STEPS_NOT_DONE: _fork_only,
        RunEnding.LIMIT_REACHED: _after_limit,
    }
)

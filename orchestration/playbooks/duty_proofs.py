"""What shows that a duty is done, as far as the system can see it by itself.

A duty without a proof here is for a person to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import psutil

from orchestration.agents.code_history import is_checked_out
from orchestration.domain.duty import Duty, DutyKind
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.errors import NotFoundError
from orchestration.playbooks.ports import ActionServices
from orchestration.storage.runs import Run

_HELD_BY_RESPONSE = frozenset({RunHold.PAUSED_BY_RESPONSE, RunHold.STOPPED_BY_RESPONSE})


def proof_of(services: ActionServices, duty: Duty) -> str:
    """The evidence that a duty is done, as a sentence; empty while nothing shows it. Blocks."""
    prove = _PROOFS.get(duty.kind)
    return "" if prove is None else prove(services, duty)


def _recovered(services: ActionServices, duty: Duty) -> str:
    """A run came to the end of its work: itself, or as a fork that carried on with it. Whether the work was approved is
    no question of a malfunction."""
    try:
        run = services.runs.get(duty.subject)
    except NotFoundError:
        return ""
    reached = next((each for each in (run, *services.runs.list_forks(run)) if _came_to_its_end(each)), None)
    if reached is None:
        return ""
    how = "has succeeded" if reached.status is RunStatus.SUCCEEDED else f"has ended: {reached.status.value}"
    return f"{reached.id} {how}"


def _came_to_its_end(run: Run) -> bool:
    return run.status in (RunStatus.SUCCEEDED, RunStatus.NOT_APPROVED, RunStatus.INCOMPLETE)


def _removed(services: ActionServices, duty: Duty) -> str:
    """A workaround is not in force any more: an override has ended, or a run that was paused goes on."""
    now = services.clock.now()
    if any(override.id == duty.subject and override.in_force(now) for override in services.store.overrides):
        return ""
    try:
        run = services.runs.get(duty.subject)
    except NotFoundError:
        return f"{duty.subject} is not in force any more"
    held = run.hold in _HELD_BY_RESPONSE and not run.status.ended
    return "" if held else f"{run.id} is not held any more: it is {run.status.value}"


def _merged(_: ActionServices, duty: Duty) -> str:
    """A commit is part of what is checked out; the subject is git's `commit:path`."""
    commit, _colon, workspace = duty.subject.partition(":")
    return f"{workspace} has {commit[:10]}" if is_checked_out(Path(workspace), commit) else ""


def _restarted(_: ActionServices, duty: Duty) -> str:
    """This process, with which its workers start, is younger than the duty."""
    started = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    return f"the system was started at {started:%Y-%m-%d %H:%M:%S} UTC" if started > duty.opened_at else ""


def _lifted(services: ActionServices, _: Duty) -> str:
    isolated = any(override.change.kind == "isolate" for override in services.store.overrides)
    return "" if isolated else "the system is not isolated any more"


_PROOFS: Mapping[DutyKind, Callable[[ActionServices, Duty], str]] = MappingProxyType(
    {
        DutyKind.RECOVER_RUN: _recovered,
        DutyKind.REMOVE_WORKAROUND: _removed,
        DutyKind.LIFT_ISOLATION: _lifted,
        DutyKind.MERGE_BRANCH: _merged,
        DutyKind.RESTART_SYSTEM: _restarted,
    }
)

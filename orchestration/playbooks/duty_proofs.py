"""What shows that a duty is done, as far as the system can see it by itself.

A duty without a proof here is for a person to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

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
    return "" if prove is None else prove(services, duty.subject)


def _recovered(services: ActionServices, run_id: str) -> str:
    """A run came to the end of its work: itself, or as a fork that carried on with it. Whether the work was approved is
    no question of a malfunction."""
    try:
        run = services.runs.get(run_id)
    except NotFoundError:
        return ""
    reached = next((each for each in (run, *services.runs.list_forks(run)) if _came_to_its_end(each)), None)
    if reached is None:
        return ""
    how = "has succeeded" if reached.status is RunStatus.SUCCEEDED else f"has ended: {reached.status.value}"
    return f"{reached.id} {how}"


def _came_to_its_end(run: Run) -> bool:
    return run.status in (RunStatus.SUCCEEDED, RunStatus.NOT_APPROVED, RunStatus.INCOMPLETE)


def _removed(services: ActionServices, subject: str) -> str:
    """A workaround is not in force any more: an override has ended, or a run that was paused goes on."""
    now = services.clock.now()
    if any(override.id == subject and override.in_force(now) for override in services.store.overrides):
        return ""
    try:
        run = services.runs.get(subject)
    except NotFoundError:
        return f"{subject} is not in force any more"
    held = run.hold in _HELD_BY_RESPONSE and not run.status.ended
    return "" if held else f"{run.id} is not held any more: it is {run.status.value}"


def _lifted(services: ActionServices, _override: str) -> str:
    isolated = any(override.change.kind == "isolate" for override in services.store.overrides)
    return "" if isolated else "the system is not isolated any more"


_PROOFS: Mapping[DutyKind, Callable[[ActionServices, str], str]] = MappingProxyType(
    {
        DutyKind.RECOVER_RUN: _recovered,
        DutyKind.REMOVE_WORKAROUND: _removed,
        DutyKind.LIFT_ISOLATION: _lifted,
    }
)

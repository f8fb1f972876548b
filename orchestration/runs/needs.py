"""What a run needs next: the one console command to type, and whether it can go on without a person. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.config.isolation import LIFT
from orchestration.domain.console_command import answer_command, show_command
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunEnding, RunStatus
from orchestration.runs.next_steps import next_steps
from orchestration.storage.approvals import Approval
from orchestration.storage.runs import Run, ending_of

# Outcomes that somebody may want to improve. What a person has refused needs nothing more.
_JUDGED = (RunStatus.NOT_APPROVED, RunStatus.INCOMPLETE)
_HELD_BY_RESPONSE = (RunHold.PAUSED_BY_RESPONSE, RunHold.STOPPED_BY_RESPONSE)


@dataclass(frozen=True, slots=True)
class RunNeed:
    """The command to type next; `continues` if the run needs nobody's decision to go on."""

    command: str
    continues: bool = False


def need_of(
    run: Run,
    questions: Sequence[Approval] = (),
    *,
    attended: bool = False,
    incident_open: bool = False,
    isolated: bool = False,
) -> RunNeed | None:
    """What a run needs; None for one that has succeeded, or that a person has cancelled or
    refused.

    `questions` are its open ones; `attended` says that a live process works on it, `incident_open` that the incident
    whose response holds it is not over, and `isolated` that the system is, so that no run is continued.
    """
    if run.status is RunStatus.FAILED:
        return RunNeed(_resume(run))
    if run.status in _JUDGED and ending_of(run) is not RunEnding.APPROVAL_DENIED:
        return RunNeed(next_steps(run)[0].command)
    if run.status.ended:
        return None
    if run.hold in _HELD_BY_RESPONSE:
        # While its incident is open, the response may still resume it; what comes next is decided there.
        return RunNeed(show_command(run.held_by) if run.held_by and incident_open else _resume(run))
    if questions:
        chosen = questions[0].question if len(questions) > 1 else ""
        return RunNeed(answer_command(run.id, chosen))
    if run.hold is RunHold.PAUSED_BY_PERSON:
        return RunNeed(_resume(run))
    if isolated:
        return RunNeed(LIFT)
    return RunNeed(show_command(run.id) if attended else _resume(run), continues=True)


def _resume(run: Run) -> str:
    return f"orchestrator runs resume {run.id}"

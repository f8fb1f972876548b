"""What was observed of a drill. All times are in seconds after the fault. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity


@dataclass(frozen=True, slots=True)
class ObservedAction:
    """One step of the playbook, the option to which it belongs, and how it ended."""

    phase: str
    step: str
    action: str
    state: str
    mode: str
    summary: str
    findings: bool = False
    option: str | None = None


@dataclass(frozen=True, slots=True)
class ObservedResponse:
    """The incident that a fault has led to, and the response to it.

    `level` is the highest level that was called, 0 for none. `asked` are the actions that wait for approval; `stable`
    is for how many seconds the playbook verifies that the repair lasts, `answered_after` when a person last answered,
    `duties_done_after` when the last duty ended; `open_duties` are those that are left, `repaired_after` is when the
    cause was removed from outside.
    """

    incident_id: str
    scenario: Scenario
    severity: Severity
    status: str
    drill: bool
    detected_after: float
    mitigated_after: float | None = None
    resolved_after: float | None = None
    playbook: str | None = None
    state: str = ""
    helped: str | None = None
    level: int = 0
    reasons: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    actions: tuple[ObservedAction, ...] = ()
    stable: float = 0.0
    answered_after: float | None = None
    duties_done_after: float | None = None
    open_duties: tuple[str, ...] = ()
    repaired_after: float | None = None


@dataclass(frozen=True, slots=True)
class ObservedWork:
    """What became of the work. `lost` counts the committed steps of runs that cannot continue; `repeated` the committed
    steps that were executed again; `calls_repeated` the model calls that had been answered and were made again.
    `judged` is whether every run came to a judgement of its work, which tells the one who asked for it."""

    succeeded: bool | None = None
    judged: bool = False
    status: str = ""
    steps: int = 0
    redone: int = 0
    lost: int = 0
    repeated: int = 0
    calls: int = 0
    calls_repeated: int = 0
    longest_tool: float = 0.0


@dataclass(frozen=True, slots=True)
class DrillObservation:
    """Everything that is scored. `others` are incidents beside the one that was expected; `manual_steps` is
    what a person would have had to do instead; `slowness` how many times slower than alone a program ran meanwhile."""

    seconds: float
    response: ObservedResponse | None = None
    work: ObservedWork = ObservedWork()
    other_incidents: tuple[tuple[Scenario, str], ...] = ()
    early_incidents: tuple[str, ...] = ()
    paged: int = 0
    manual_steps: tuple[str, ...] = ()
    problem: str = ""
    slowness: float = 1.0

"""What was observed of a blind drill. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.observation import ObservedWork


@dataclass(frozen=True, slots=True)
class SeenAction:
    """An action of a playbook that has changed something, and on what."""

    action: str
    step: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenIncident:
    """One incident: `causes` are the hypotheses, the likeliest first; `levels` those that were called; `asks` the
    questions that are open; `handed_over` whether the playbook has left it to a person."""

    scenario: Scenario
    severity: Severity
    title: str
    is_open: bool
    detected_after: float
    resolved_after: float | None = None
    causes: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()
    asks: tuple[str, ...] = ()
    handed_over: bool = False
    actions: tuple[SeenAction, ...] = ()

    @property
    def called(self) -> bool:
        """Whether a person has it now."""
        return bool(self.levels or self.asks or self.handed_over)


@dataclass(frozen=True, slots=True)
class BlindObservation:
    """Everything that is judged. `differs` names what the work's result has otherwise than that of a run without a
    fault; `opened` are the providers of which a route was taken out of use; `left` is what the drill has left behind.
    """

    seconds: float
    work: ObservedWork = field(default_factory=ObservedWork)
    incidents: tuple[SeenIncident, ...] = ()
    differs: tuple[str, ...] = ()
    opened: frozenset[str] = frozenset()
    left: tuple[str, ...] = ()
    problem: str = ""
    slowness: float = 1.0

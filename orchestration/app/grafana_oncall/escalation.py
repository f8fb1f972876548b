"""An escalation chain of Grafana OnCall as our levels. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.app.grafana_oncall.export import EscalationStep

_MOST_LEVELS = 4
# Theirs for a step that no wait follows, at the end of a chain.
_LAST_WAIT = 900
_REPEATS = 3


@dataclass
class _Level:
    """Those who are notified together, and the wait after them; None where none follows."""

    targets: list[str]
    wait: int | None = None

    def add(self, targets: Sequence[str]) -> None:
        self.targets = list(dict.fromkeys([*self.targets, *targets]))


@dataclass
class ConvertedChain:
    """The levels of a chain, how often they are gone through, and what could not be taken over."""

    levels: list[_Level] = field(default_factory=list)
    repeat: int = 1
    notes: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """The section `response.escalation`."""
        levels = [
            {"level": number, "targets": level.targets, "after": level.wait or _LAST_WAIT}
            for number, level in enumerate(self.levels, 1)
        ]
        return {"levels": levels, "repeat": self.repeat}


def convert_chain(
    name: str, steps: Sequence[EscalationStep], people: Mapping[str, str], rotations: Mapping[str, str]
) -> ConvertedChain:
    """The levels of a chain: those who are notified without a wait between them are one level."""
    chain = ConvertedChain()
    for step in sorted(steps, key=lambda step: step.position):
        targets = list(_targets(step, people, rotations))
        if step.type == "wait":
            if chain.levels:
                chain.levels[-1].wait = (chain.levels[-1].wait or 0) + (step.duration or 0)
        elif step.type == "repeat_escalation":
            chain.repeat = _REPEATS
        elif not targets:
            chain.notes.append(f"escalation chain {name}: the step {step.type} has no counterpart")
        elif chain.levels and (chain.levels[-1].wait is None or len(chain.levels) == _MOST_LEVELS):
            chain.levels[-1].add(targets)
        else:
            chain.levels.append(_Level(targets))
        chain.notes += _losses(name, step, chain)
    return chain


def _losses(name: str, step: EscalationStep, chain: ConvertedChain) -> Iterator[str]:
    if step.type == "notify_person_next_each_time":
        yield f"escalation chain {name}: all are notified instead of one after the other"
    if step.type == "wait" and len(chain.levels) == _MOST_LEVELS:
        yield f"escalation chain {name}: level {_MOST_LEVELS} is the last, and has whoever is notified after it"


def _targets(step: EscalationStep, people: Mapping[str, str], rotations: Mapping[str, str]) -> Iterator[str]:
    for user in (*(step.persons_to_notify or ()), *(step.persons_to_notify_next_each_time or ())):
        if user in people:
            yield people[user]
    schedule = step.notify_on_call_from_schedule
    if schedule is not None and schedule in rotations:
        yield rotations[schedule]

"""All drills there are."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.drills.faults import agents, control, machine, providers, security, stuck
from orchestration.drills.model import Drill
from orchestration.errors import NotFoundError

ALL: tuple[Drill, ...] = (
    *agents.drills(),
    *providers.drills(),
    *machine.drills(),
    *stuck.drills(),
    *security.drills(),
    *control.drills(),
)


def find(names: Sequence[str]) -> tuple[Drill, ...]:
    """The drills of these names; the name of a scenario stands for all of its drills. Raises NotFoundError."""
    found: dict[str, Drill] = {}
    for name in names:
        fitting = [drill for drill in ALL if name in (drill.name, drill.scenario.value)]
        if not fitting:
            known = ", ".join(drill.name for drill in ALL)
            raise NotFoundError(f"expected a drill or a scenario, got '{name}'; there are {known}")
        found.update({drill.name: drill for drill in fitting})
    return tuple(found.values())

"""All drills: the shipped ones, and those that users install beside the system."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.drills.faults import agents, control, machine, programs, providers, security, stuck
from orchestration.drills.model import Drill
from orchestration.errors import NotFoundError
from orchestration.logs import get_logger
from orchestration.plugins import PluginError, plugin_registry

GROUP = "orchestration.drills"
SHIPPED: tuple[Drill, ...] = (
    *agents.DRILLS,
    *programs.DRILLS,
    *providers.DRILLS,
    *machine.DRILLS,
    *stuck.DRILLS,
    *security.DRILLS,
    *control.DRILLS,
)
_log = get_logger(__name__)


def list_drills() -> tuple[Drill, ...]:
    """Every drill that can be chosen, the shipped ones first."""
    return (*SHIPPED, *{drill.name: drill for drill in own_drills().usable}.values())


def find(names: Sequence[str]) -> tuple[Drill, ...]:
    """The drills of these names; the name of a scenario stands for all of its drills. Raises NotFoundError."""
    drills = list_drills()
    found: dict[str, Drill] = {}
    for name in names:
        fitting = [drill for drill in drills if name in (drill.name, drill.scenario.value)]
        if not fitting:
            known = ", ".join(drill.name for drill in drills)
            raise NotFoundError(f"expected a drill or a scenario, got '{name}'; there are {known}")
        found.update({drill.name: drill for drill in fitting})
    return tuple(found.values())


def _validate(found: object) -> Drill:
    if not isinstance(found, Drill):
        raise PluginError(f"expected a `Drill`, got {found!r}")
    # The history of a drill is kept under its name: two of one name would be judged by each other's results.
    if any(drill.name == found.name for drill in SHIPPED):
        raise PluginError(f"a drill named '{found.name}' is shipped; choose another name")
    return found


own_drills = plugin_registry(
    GROUP, "drill", _validate, lambda problem: _log.warning("drill.plugin_broken", message=problem)
)

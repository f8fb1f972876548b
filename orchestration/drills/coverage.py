"""Which options of the playbooks are tried by which drills. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestration.domain.scenario import Scenario
from orchestration.drills.model import Drill
from orchestration.playbooks.model import Playbook

# An option by its scenario: playbooks of different scenarios have options of one name, which are different things.
ScenarioOption = tuple[Scenario, str]


def options_of(playbooks: Iterable[Playbook]) -> tuple[ScenarioOption, ...]:
    """Every option of these playbooks."""
    return tuple(dict.fromkeys((one.scenario, option.id) for one in playbooks for option in one.mitigate))


def named(option: ScenarioOption) -> str:
    """An option as reports write it, such as `agent-failure/restart`."""
    scenario, name = option
    return f"{scenario.value}/{name}"


def covered_by(drills: Iterable[Drill]) -> Mapping[ScenarioOption, tuple[str, ...]]:
    """The options that have to be carried out to their right end, each with the drills that demand it."""
    found: dict[ScenarioOption, tuple[str, ...]] = {}
    for name, option in _demanded(drills):
        found[option] = (*found.get(option, ()), name)
    return found


def _demanded(drills: Iterable[Drill]) -> Iterator[tuple[str, ScenarioOption]]:
    for drill in drills:
        scenario = drill.expects.scenario
        if scenario is not None:
            for option in (drill.expects.helped, drill.expects.contains):
                if option is not None:
                    yield drill.name, (scenario, option)

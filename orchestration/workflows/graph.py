"""The order of agents and plan steps. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from orchestration.config.agents import AgentRole, AgentSettings, WorkflowEdge
from orchestration.errors import UsageError
from orchestration.workflows.model import PlanStep

_USUAL_ORDER = (AgentRole.PLANNER, AgentRole.EXECUTOR, AgentRole.REVIEWER)


class CycleError(UsageError):
    """Names depend on each other in a cycle; the message shows it."""


def levels(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Group names so that each comes after all that it needs; names in one group can run concurrently.

    The order within a group is that of the mapping. Raises CycleError if no order exists.
    """
    # Unknown names are dropped: they would never become ready.
    open_needs = {name: set(required) & set(needs) for name, required in needs.items()}
    result: list[tuple[str, ...]] = []
    while open_needs:
        ready = tuple(name for name, required in open_needs.items() if not required)
        if not ready:
            raise CycleError(
                f"expected an order in which each comes after what it needs, got a circle: {_cycle(open_needs)}; "
                "remove one of these dependencies"
            )
        result.append(ready)
        for name in ready:
            del open_needs[name]
        for required in open_needs.values():
            required.difference_update(ready)
    return tuple(result)


def agent_levels(agents: Sequence[AgentSettings], edges: Sequence[WorkflowEdge]) -> tuple[tuple[str, ...], ...]:
    """The levels of the agents of a workflow; without edges, planner → executor → reviewer, all others beside them.

    With edges, only agents that an edge names take part.
    """
    pairs = [(edge.source, edge.target) for edge in edges] or _usual_pairs(agents)
    named = {name for pair in pairs for name in pair}
    taking_part = [agent.id for agent in agents if agent.id in named or not edges]
    return levels({name: [source for source, target in pairs if target == name] for name in taking_part})


def _usual_pairs(agents: Sequence[AgentSettings]) -> list[tuple[str, str]]:
    by_role = [[agent.id for agent in agents if agent.effective_role is role] for role in _USUAL_ORDER]
    present = [ids for ids in by_role if ids]
    return [
        (source, target) for sources, targets in itertools.pairwise(present) for source in sources for target in targets
    ]


def waves(steps: Sequence[PlanStep], at_most: int) -> tuple[tuple[PlanStep, ...], ...]:
    """Group plan steps into waves of at most `at_most`: within one, no step needs another or names the same file.

    A dependency on a step that does not exist is ignored: models invent them, and the order is right without them.
    """
    by_id = {step.id: step for step in steps}
    result: list[tuple[PlanStep, ...]] = []
    for level in levels({step.id: step.depends_on for step in steps}):
        result.extend(_apart([by_id[step_id] for step_id in level], at_most))
    return tuple(result)


def _apart(steps: Sequence[PlanStep], at_most: int) -> list[tuple[PlanStep, ...]]:
    """Split a level wherever two of its steps would change the same file."""
    result: list[list[PlanStep]] = []
    for step in steps:
        for wave in result:
            if len(wave) < at_most and not any(set(step.files) & set(other.files) for other in wave):
                wave.append(step)
                break
        else:
            result.append([step])
    return [tuple(wave) for wave in result]


def _cycle(needs: Mapping[str, set[str]]) -> str:
    """Follow the needs from any name until one repeats."""
    path = [next(iter(needs))]
    while True:
        # The smallest name, since a set has another order in each process and the message should be the same every
        # time.
        following = min(needs[path[-1]])
        if following in path:
            return " → ".join([*path[path.index(following) :], following])
        path.append(following)

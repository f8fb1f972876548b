"""The order of agents and plan steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestration.config.agent_order import order_of
from orchestration.config.agents import AgentSettings, WorkflowEdge
from orchestration.errors import UsageError
from orchestration.workflows.model import PlanStep


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
    """The levels of the agents of a workflow; with edges, only agents that an edge names take part."""
    pairs = order_of(agents, edges)
    named = {name for pair in pairs for name in pair}
    taking_part = [agent.id for agent in agents if agent.id in named or not edges]
    return levels({name: [source for source, target in pairs if target == name] for name in taking_part})


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

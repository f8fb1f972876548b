"""Which agent comes before which: by the edges of the workflow, by roles, and by what agents require. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from orchestration.config.agents import AgentRole, AgentSettings, WorkflowEdge

_USUAL_ORDER = (AgentRole.PLANNER, AgentRole.EXECUTOR, AgentRole.REVIEWER)

Pair = tuple[str, str]


def order_of(agents: Sequence[AgentSettings], edges: Sequence[WorkflowEdge]) -> tuple[Pair, ...]:
    """The pairs of agents of which the first comes before the second: the edges, or without any, planner, executor and
    reviewer in this order; and those that follow from requirements."""
    return (*_declared(agents, edges), *required_order(agents, edges))


def required_order(agents: Sequence[AgentSettings], edges: Sequence[WorkflowEdge]) -> tuple[Pair, ...]:
    """The agents that produce what another one requires, where none of them comes before it already."""
    return tuple(_by_requirement(agents, _declared(agents, edges)))


def upstream(name: str, pairs: Iterable[Pair]) -> set[str]:
    """All that come before a name, directly or not."""
    sources: dict[str, set[str]] = {}
    for source, target in pairs:
        sources.setdefault(target, set()).add(source)
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = sources.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _declared(agents: Sequence[AgentSettings], edges: Sequence[WorkflowEdge]) -> tuple[Pair, ...]:
    return tuple((edge.source, edge.target) for edge in edges) or tuple(_by_role(agents))


def _by_role(agents: Sequence[AgentSettings]) -> Iterator[Pair]:
    by_role = [[agent.id for agent in agents if agent.effective_role is role] for role in _USUAL_ORDER]
    for sources, targets in itertools.pairwise(ids for ids in by_role if ids):
        yield from itertools.product(sources, targets)


def _by_requirement(agents: Sequence[AgentSettings], pairs: Sequence[Pair]) -> Iterator[Pair]:
    for agent in agents:
        before = upstream(agent.id, pairs)
        there = {output for other in agents if other.id in before for output in other.outputs}
        missing = set(agent.requires) - there
        # One that rewrites a document requires what it produces itself.
        yield from ((other.id, agent.id) for other in agents if other.id != agent.id and missing & set(other.outputs))

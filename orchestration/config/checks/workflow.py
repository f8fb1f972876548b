"""The workflow: edges between existing agents, no cycle, every requirement produced by an earlier agent. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration


def check(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Check the edges, and the requirements only if the edges are valid: one wrong edge would be reported twice."""
    wrong_edges = list(_check_edges(configuration))
    yield from wrong_edges
    if not wrong_edges:
        yield from _check_requirements(configuration)


def _check_edges(configuration: Configuration) -> Iterator[Problem]:
    known = [agent.id for agent in configuration.agents]
    for index, edge in enumerate(configuration.workflow):
        for key, name in (("from", edge.source), ("to", edge.target)):
            if name not in known:
                path = ("workflow", index, key)
                yield Problem(FindingCode.UNKNOWN_AGENT, path, f'there is no agent "{name}"', hint=suggest(name, known))
        source = configuration.agent(edge.source)
        if source and edge.artifact and edge.artifact not in source.outputs:
            message = f'"{source.id}" does not produce "{edge.artifact}"'
            hint = suggest(edge.artifact, source.outputs) or f'Add it to the "outputs" of "{source.id}".'
            yield Problem(FindingCode.UNKNOWN_ARTIFACT, ("workflow", index, "artifact"), message, hint=hint)
    yield from _check_cycle(configuration)


def _check_cycle(configuration: Configuration) -> Iterator[Problem]:
    try:
        TopologicalSorter(_sources(configuration)).prepare()
    except CycleError as error:
        # The second argument is the cycle, whose first and last node are the same
        # (https://docs.python.org/3/library/graphlib.html#graphlib.CycleError).
        cycle: list[str] = error.args[1]
        last = (cycle[-2], cycle[-1])
        index = next(i for i, edge in enumerate(configuration.workflow) if (edge.source, edge.target) == last)
        hint = "The way back from a reviewer to an executor needs no edge: it always exists."
        yield Problem(FindingCode.WORKFLOW_CYCLE, ("workflow", index), f"a cycle: {' → '.join(cycle)}", hint=hint)


def _check_requirements(configuration: Configuration) -> Iterator[Problem]:
    for index, agent in enumerate(configuration.agents):
        upstream = _upstream(configuration, agent.id)
        delivered = {output for other in configuration.agents if other.id in upstream for output in other.outputs}
        for place, artifact in enumerate(agent.requires):
            if artifact not in delivered:
                path = ("agents", index, "requires", place)
                message = f'no agent before "{agent.id}" produces "{artifact}"'
                yield Problem(FindingCode.UNMET_REQUIREMENT, path, message, hint=suggest(artifact, delivered))


def _upstream(configuration: Configuration, agent_id: str) -> set[str]:
    """All agents that run before this one; without any edges, all others."""
    if not configuration.workflow:
        return {agent.id for agent in configuration.agents} - {agent_id}
    sources = _sources(configuration)
    found: set[str] = set()
    waiting = [agent_id]
    while waiting:
        new = sources.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _sources(configuration: Configuration) -> dict[str, set[str]]:
    sources: dict[str, set[str]] = {}
    for edge in configuration.workflow:
        sources.setdefault(edge.target, set()).add(edge.source)
    return sources

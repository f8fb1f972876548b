"""The workflow: edges between existing agents, no cycle, every requirement produced by another agent. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from orchestration.config.agent_order import order_of, required_order
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
    sources: dict[str, set[str]] = {}
    for source, target in order_of(configuration.agents, configuration.workflow):
        sources.setdefault(target, set()).add(source)
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as error:
        # The second argument is the cycle, whose first and last node are the same
        # (https://docs.python.org/3/library/graphlib.html#graphlib.CycleError).
        cycle: list[str] = error.args[1]
        path, hint = _place_of_cycle(configuration, cycle)
        yield Problem(FindingCode.WORKFLOW_CYCLE, path, f"a cycle: {' → '.join(cycle)}", hint=hint)


def _place_of_cycle(configuration: Configuration, cycle: list[str]) -> tuple[tuple[str | int, ...], str]:
    """Where a cycle can be cut: at a requirement that it would not be one without, else at its last edge."""
    required = required_order(configuration.agents, configuration.workflow)
    for pair in pairwise(cycle):
        if pair in required:
            index = [agent.id for agent in configuration.agents].index(pair[1])
            return ("agents", index, "requires"), "An agent comes after those whose documents it requires."
    last = [(edge.source, edge.target) for edge in configuration.workflow].index((cycle[-2], cycle[-1]))
    return ("workflow", last), "The way back from a reviewer to an executor needs no edge: it always exists."


def _check_requirements(configuration: Configuration) -> Iterator[Problem]:
    for index, agent in enumerate(configuration.agents):
        delivered = {output for other in configuration.agents if other is not agent for output in other.outputs}
        for place, artifact in enumerate(agent.requires):
            if artifact not in delivered:
                path = ("agents", index, "requires", place)
                message = f'"{agent.id}" requires "{artifact}", which no other agent produces'
                yield Problem(FindingCode.UNMET_REQUIREMENT, path, message, hint=suggest(artifact, delivered))

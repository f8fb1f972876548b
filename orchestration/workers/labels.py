"""The labels that agents run on, and which of them no worker has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestration.config.schema import Configuration
from orchestration.workflows.processes import LiveProcess


def unserved(configuration: Configuration, processes: Iterable[LiveProcess]) -> Mapping[str, tuple[str, ...]]:
    """The agents that would wait, by the label that no live worker has."""
    there = tuple(processes)
    wanted = dict.fromkeys(agent.runs_on for agent in configuration.agents if agent.runs_on)
    return {
        label: tuple(agent.id for agent in configuration.agents if agent.runs_on == label)
        for label in wanted
        if not any(one.claims(label) for one in there)
    }

"""The steps of agents that have failed or not ended, read from the events of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentStarted

KINDS = (AgentStarted.kind, AgentFinished.kind)


def open_agents(events: Iterable[Event]) -> frozenset[str]:
    """The agents with a step that failed, or that was begun and has not ended."""
    steps: dict[str, str] = {}
    for event in events:
        # The last event of a step counts: one that is repeated keeps its identifier.
        match event.payload:
            case AgentStarted(agent_run_id=step):
                steps[step] = event.agent or ""
            case AgentFinished(agent_run_id=step, failing=None):
                steps.pop(step, None)
            case AgentFinished(agent_run_id=step):
                steps[step] = event.agent or ""
    return frozenset(steps.values())

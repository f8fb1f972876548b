"""The current activity of a process, gathered from its events. Pure."""

from __future__ import annotations

from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentInterrupted, AgentProgressed, AgentStarted
from orchestration.events.runs import RunCancelled, RunFinished, RunStarted, RunStopped

_RUN_LEFT = (RunFinished, RunCancelled, RunStopped)


class ProcessActivity:
    """The agents that work in this process, and its runs. Its text is one line for people.

    A run stays between its agents: only an event of the run itself removes it.
    """

    def __init__(self) -> None:
        self._agents: dict[str, tuple[str, str, str]] = {}
        self.runs: set[str] = set()

    def on_event(self, event: Event) -> None:
        """Update the activity by an event; a subscriber of the bus."""
        run_id, payload = event.run_id or "", event.payload
        if isinstance(payload, RunStarted):
            self.runs.add(run_id)
        elif isinstance(payload, AgentStarted):
            self.runs.add(run_id)
            self._agents[payload.agent_run_id] = (event.agent or "", run_id, "")
        elif isinstance(payload, AgentProgressed) and payload.agent_run_id in self._agents:
            self._agents[payload.agent_run_id] = (event.agent or "", run_id, payload.activity)
        elif isinstance(payload, AgentFinished | AgentInterrupted):
            self._agents.pop(payload.agent_run_id, None)
        elif isinstance(payload, _RUN_LEFT):
            self.runs.discard(run_id)
            self._agents = {key: one for key, one in self._agents.items() if one[1] != run_id}

    def __str__(self) -> str:
        agents = [
            f"{agent} of {run_id}" + (f" ({activity})" if activity else "")
            for agent, run_id, activity in self._agents.values()
        ]
        return ", ".join(agents) or "nothing"

"""The current activity of a process, gathered from its events. Pure."""

from __future__ import annotations

from orchestration.events import Event

_RUN_LEFT = ("run.finished", "run.cancelled", "run.stopped")


class ProcessActivity:
    """The agents that work in this process, and its runs. Its text is one line for people.

    A run stays between its agents: only an event of the run itself removes it.
    """

    def __init__(self) -> None:
        self._agents: dict[str, tuple[str, str, str]] = {}
        self.runs: set[str] = set()

    def record(self, event: Event) -> None:
        """Update the activity by an event; a subscriber of the bus."""
        key, run_id = str(event.data.get("agent_run_id", "")), event.run_id or ""
        if event.kind == "run.started":
            self.runs.add(run_id)
        elif event.kind == "agent.started":
            self.runs.add(run_id)
            self._agents[key] = (event.agent or "", run_id, "")
        elif event.kind == "agent.progress" and key in self._agents:
            self._agents[key] = (event.agent or "", run_id, str(event.data["activity"]))
        elif event.kind in ("agent.finished", "agent.interrupted"):
            self._agents.pop(key, None)
        elif event.kind in _RUN_LEFT:
            self.runs.discard(run_id)
            self._agents = {key: one for key, one in self._agents.items() if one[1] != run_id}

    def __str__(self) -> str:
        agents = [
            f"{agent} of {run_id}" + (f" ({activity})" if activity else "")
            for agent, run_id, activity in self._agents.values()
        ]
        return ", ".join(agents) or "nothing"

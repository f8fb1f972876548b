"""What a process is doing now, gathered from its events. Pure."""

from __future__ import annotations

from orchestration.events import Event

_GONE = ("run.finished", "run.cancelled", "run.stopped")


class ProcessActivity:
    """The agents at work in this process, and the runs that it has in hand. Its text is one line for people."""

    def __init__(self) -> None:
        self._agents: dict[str, tuple[str, str, str]] = {}
        self.runs: set[str] = set()

    def take(self, event: Event) -> None:
        """Note an event."""
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
        elif event.kind in _GONE:
            self.runs.discard(run_id)
            self._agents = {key: one for key, one in self._agents.items() if one[1] != run_id}

    def __str__(self) -> str:
        agents = [
            f"{agent} of {run_id}" + (f" ({activity})" if activity else "")
            for agent, run_id, activity in self._agents.values()
        ]
        return ", ".join(agents) or "nothing"

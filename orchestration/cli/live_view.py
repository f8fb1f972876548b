"""What is going on in the runs that are followed, gathered from their events. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestration.app.event_text import event_text
from orchestration.events import Event
from orchestration.storage.timeline import HeartbeatRow


@dataclass(slots=True)
class AgentProgress:
    """One agent at work: `tokens` of its finished model calls, `coming` those of the answer that it hears now."""

    agent: str
    title: str
    activity: str = "starts"
    tokens: int = 0
    coming: int = 0
    usd: float = 0.0
    provider: str = ""
    state: str = "running"


@dataclass(slots=True)
class LiveView:
    """Every agent that has worked since the board was set up, by its agent run."""

    agents: dict[str, AgentProgress] = field(default_factory=dict)
    tokens: int = 0
    usd: float = 0.0
    rehearsal: bool = False

    def take(self, event: Event) -> str | None:
        """Note an event; returns the line to print for it, if it is worth one."""
        data = event.data
        line = self.agents.get(str(data.get("agent_run_id", "")))
        if event.kind == "agent.started":
            self.agents[data["agent_run_id"]] = AgentProgress(event.agent or "", data["title"])
        elif event.kind == "agent.interrupted":
            self.agents.pop(str(data.get("agent_run_id", "")), None)
        elif line is not None and event.kind == "agent.finished":
            line.state = "failed" if data["failing"] else "done"
            line.activity = data["failing"]["message"] if data["failing"] else ""
        elif event.kind == "model_call.finished":
            self._count(event)
        return event_text(event)

    def beat(self, heartbeat: HeartbeatRow) -> None:
        """Note an agent's last sign of progress."""
        if (line := self.agents.get(heartbeat.agent_run_id)) is not None and line.state == "running":
            line.activity = heartbeat.activity
            line.coming = heartbeat.tokens

    def _count(self, event: Event) -> None:
        tokens, usd = int(event.data.get("tokens") or 0), float(event.data.get("usd") or 0.0)
        self.tokens += tokens
        self.usd += usd
        self.rehearsal = self.rehearsal or bool(event.data.get("rehearsal"))
        for line in self.agents.values():
            if line.agent == event.agent and line.state == "running":
                line.tokens += tokens
                line.coming = 0
                line.usd += usd
                line.provider = str(event.data.get("route") or line.provider)
                return

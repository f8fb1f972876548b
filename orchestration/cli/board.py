"""What is going on in the runs that are followed, gathered from their events. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestration.events import Event
from orchestration.storage.timeline import Heartbeat


@dataclass(slots=True)
class AgentLine:
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
class Board:
    """Every agent that has worked since the board was set up, by its agent run."""

    agents: dict[str, AgentLine] = field(default_factory=dict)
    tokens: int = 0
    usd: float = 0.0
    rehearsal: bool = False

    def take(self, event: Event) -> str | None:
        """Note an event; returns the line to print for it, if it is worth one."""
        data = event.data
        line = self.agents.get(str(data.get("agent_run_id", "")))
        if event.kind == "agent.started":
            self.agents[data["agent_run_id"]] = AgentLine(event.agent or "", data["title"])
        elif event.kind == "agent.interrupted":
            self.agents.pop(str(data.get("agent_run_id", "")), None)
        elif line is not None and event.kind == "agent.finished":
            line.state = "failed" if data["failing"] else "done"
            line.activity = data["failing"]["message"] if data["failing"] else ""
        elif event.kind == "model_call.finished":
            self._count(event)
        return spoken(event)

    def beat(self, heartbeat: Heartbeat) -> None:
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


def spoken(event: Event) -> str | None:
    """An event as a line for people; None for one that is only of interest to machines."""
    data = event.data
    agent = event.agent or ""
    sentences: dict[str, Callable[[], str]] = {
        "run.created": lambda: f"run {event.run_id} created",
        "run.started": lambda: f"works in {data['workspace']}",
        "run.waiting": lambda: f"waits: {data['reason']}" + "".join(f"\n         → {hint}" for hint in data["hints"]),
        "run.continued": lambda: "goes on",
        "run.resumed": lambda: f"run {event.run_id} resumed",
        "run.finished": lambda: (
            f"run {event.run_id} {data['status']}" + (f": {data['reason']}" if data["reason"] else "")
        ),
        "run.stopped": lambda: f"run {event.run_id} stopped" + (f": {data['reason']}" if data["reason"] else ""),
        "run.cancelled": lambda: f"run {event.run_id} cancelled",
        "agent.started": lambda: f"starts: {data['title']}",
        "agent.finished": lambda: _finished(event),
        "agent.retried": lambda: f"begins again ({data['reason']})",
        "tool_call.finished": lambda: f"{data['tool']} {data['about']}".rstrip() + ("" if data["ok"] else " (failed)"),
        "tool_call.refused": lambda: f"was refused: {data['reason']}",
        "route.opened": lambda: f"{data['route']} is out of use: {data['reason']}",
        "route.closed": lambda: f"{data['route']} works again",
        "approval.requested": lambda: f"waits for approval: {data['question']}",
        "artifact.written": lambda: f"wrote {data['name']}",
    }
    if event.kind not in sentences:
        return None
    text = sentences[event.kind]()
    return f"{agent}: {text}" if agent else text


def _finished(event: Event) -> str:
    if failing := event.data["failing"]:
        return f"failed: {failing['message']}"
    use = event.data["use"]
    money = f", ${use['usd']:.4f}" if use["usd"] else ""
    label = " [rehearsal]" if use["rehearsal"] else ""
    return f"done in {use['seconds']:.1f} s, {use['model_calls']} model calls, {use['tokens']} tokens{money}{label}"

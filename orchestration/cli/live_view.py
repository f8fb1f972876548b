"""The state of the followed runs, gathered from their events. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentInterrupted, AgentStarted
from orchestration.events.providers import ModelCallFinished
from orchestration.events.render import followed_line
from orchestration.events.runs import RunResumed
from orchestration.runs.activity_text import is_fresh
from orchestration.runs.plan_progress import PlanProgress
from orchestration.storage.timeline import HeartbeatRow


@dataclass(slots=True)
class AgentProgress:
    """One agent at work: `tokens` of its finished model calls, `coming` those of the answer that it hears now; `calls`
    is the number of finished calls, and `beat` its last heartbeat."""

    agent: str
    title: str
    activity: str = "starts"
    tokens: int = 0
    coming: int = 0
    calls: int = 0
    usd: float = 0.0
    provider: str = ""
    state: str = "running"
    beat: HeartbeatRow | None = None


@dataclass(slots=True)
class LiveView:
    """Every agent that has worked since the board was set up, by its agent run."""

    agents: dict[str, AgentProgress] = field(default_factory=dict)
    tokens: int = 0
    usd: float = 0.0
    rehearsal: bool = False
    plan: PlanProgress = field(default_factory=PlanProgress)
    # What works without being an agent, such as the checks of a run; and when the runs were begun, or resumed last.
    others: dict[str, HeartbeatRow] = field(default_factory=dict)
    began: datetime | None = None
    # The sentence about the isolation, if the system is isolated: the first line of the view.
    isolation: str = ""

    def update(self, event: Event) -> str | None:
        """Note an event; returns the line to print for it, if it is worth one."""
        if self.began is None or isinstance(event.payload, RunResumed):
            self.began = event.at
        self.plan.update(event)
        match event.payload:
            case AgentStarted(agent_run_id=agent_run, title=title):
                self.agents[agent_run] = AgentProgress(event.agent or "", title)
            case AgentInterrupted(agent_run_id=agent_run):
                self.agents.pop(agent_run, None)
            case AgentFinished(agent_run_id=agent_run, failing=failing) if agent_run in self.agents:
                line = self.agents[agent_run]
                line.state = "failed" if failing else "done"
                line.activity = failing.message if failing else ""
            case ModelCallFinished() as call:
                self._count(event.agent, call)
        printed = followed_line(event)
        if printed and isinstance(event.payload, AgentFinished) and event.payload.agent_run_id in self.plan.steps:
            return f"{printed} [{self.plan.done} of {len(self.plan.steps)} steps done]"
        return printed

    def beat(self, heartbeat: HeartbeatRow) -> None:
        """Note an agent's last sign of progress."""
        # The last heartbeat of an agent stays in its table after the agent has ended.
        if (line := self.agents.get(heartbeat.agent_run_id)) is None:
            self.others[heartbeat.agent_run_id] = heartbeat
        elif line.state == "running":
            line.activity = heartbeat.activity
            line.coming = heartbeat.tokens
            line.beat = heartbeat

    def at_work(self, now: datetime) -> list[HeartbeatRow]:
        """The heartbeats of all that works now."""
        agents = [line.beat for line in self.agents.values() if line.state == "running" and line.beat is not None]
        return [*agents, *(beat for beat in self.others.values() if is_fresh(beat, now))]

    def _count(self, agent: str | None, call: ModelCallFinished) -> None:
        usd = call.usd or 0.0
        self.tokens += call.tokens
        self.usd += usd
        self.rehearsal = self.rehearsal or call.rehearsal
        # The event names the agent and not its agent run, so the tokens go to the first of its tasks that runs.
        for line in self.agents.values():
            if line.agent == agent and line.state == "running":
                line.tokens += call.tokens
                line.calls += 1
                # These tokens are in the total of the finished call; keeping both would count them twice.
                line.coming = 0
                line.usd += usd
                line.provider = call.route or line.provider
                return

"""Heartbeats: signs of progress, not merely of life. A token arrived, a tool printed, a step began."""

from __future__ import annotations

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.agents import AgentProgressed

# Often enough for a terminal to look alive and for a stall to be seen, seldom enough to cost nothing.
_EVERY_SECONDS = 0.25


class HeartbeatEmitter:
    """Publishes one agent's heartbeats. Those that come too close together are dropped unless the activity changes."""

    def __init__(self, bus: EventBus, clock: Clock, *, run_id: str, agent: str, agent_run_id: str) -> None:
        self._bus = bus
        self._clock = clock
        self._run_id = run_id
        self._agent = agent
        self._agent_run_id = agent_run_id
        self._activity = ""
        self._last = float("-inf")

    def beat(self, activity: str, tokens: int = 0) -> None:
        """Report what the agent is doing, and how many tokens of the current answer have arrived."""
        now = self._clock.monotonic()
        if activity == self._activity and now - self._last < _EVERY_SECONDS:
            return
        self._activity = activity
        self._last = now
        self._bus.publish(
            AgentProgressed(agent_run_id=self._agent_run_id, activity=activity, tokens=tokens),
            run_id=self._run_id,
            agent=self._agent,
        )

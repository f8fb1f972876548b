"""Heartbeats: what an agent is busy with, how far it has come, and that its process is alive.

Progress and life are told apart. A token, a line of output or the next phase is progress, by which stalls are found.
While nothing comes, a sign of life is published now and then, so that a screen can tell slow work from a process that
is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orchestration.clock import Clock
from orchestration.domain.work_phase import WorkPhase
from orchestration.events import EventBus
from orchestration.events.agents import AgentProgressed
from orchestration.security.text_tail import GrowingRedactor, TextTail

# Often enough for a terminal to look alive and for a stall to be seen, seldom enough to cost nothing.
_EVERY_SECONDS = 0.25
_TICK_SECONDS = 1.0
# About a screen of the answer that is arriving: a page shows it as it comes.
_TAIL_CHARACTERS = 1_500
# The rows of all agents of a process are written in one transaction, so this costs one each two seconds.
_LIFE_SECONDS = 1.9


@dataclass(frozen=True, slots=True)
class Activity:
    """What an agent does now. `words` are for people; `about` is the model's route or what the tool is used for;
    `ahead` are the calls that are served before this one."""

    words: str
    phase: WorkPhase
    about: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    ahead: int | None = None

    def continues(self, other: Activity) -> bool:
        """Whether this is the other a moment later, and not something new."""
        return (self.words, self.phase, self.about) == (other.words, other.phase, other.about)


class HeartbeatEmitter:
    """Publishes one agent's heartbeats. Those that come too close together are held back until the next tick, unless
    the activity changes."""

    def __init__(
        self,
        bus: EventBus,
        clock: Clock,
        redactor: GrowingRedactor,
        *,
        run_id: str,
        agent: str,
        agent_run_id: str,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._run_id = run_id
        self._agent = agent
        self._agent_run_id = agent_run_id
        self._activity = Activity("", WorkPhase.STARTING)
        self._tail = TextTail(redactor, _TAIL_CHARACTERS)
        self._since = clock.monotonic()
        self._published = float("-inf")
        self._held_back = False

    def beat(self, activity: Activity, text: str = "") -> None:
        """Report what the agent does, and the text that has come since the last report: of an answer, or of a tool."""
        now = self._clock.monotonic()
        continues = activity.continues(self._activity)
        if not continues:
            self._since = now
            self._tail.clear()
        self._activity = activity
        self._tail.add(text)
        self._held_back = True
        if not continues or now - self._published >= _EVERY_SECONDS:
            self._publish(now)

    @contextlib.asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        """Publish what was held back, and signs of life, for as long as the block lasts."""
        # Not in a task group, which would wrap what the block raises.
        task = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            task.cancel()

    async def _tick(self) -> None:
        while True:
            # At whole seconds: so the agents of a process beat together, and their rows are written at once.
            await self._clock.sleep(_TICK_SECONDS - self._clock.monotonic() % _TICK_SECONDS)
            now = self._clock.monotonic()
            if self._held_back or now - self._published >= _LIFE_SECONDS:
                self._publish(now)

    def _publish(self, now: float) -> None:
        activity, progressed = self._activity, self._held_back
        self._published, self._held_back = now, False
        payload = AgentProgressed(
            agent_run_id=self._agent_run_id,
            activity=activity.words,
            tokens=activity.tokens,
            phase=activity.phase.value,
            about=activity.about,
            prompt_tokens=activity.prompt_tokens,
            ahead=activity.ahead,
            seconds=round(now - self._since, 3),
            tail=self._tail.shown(),
            progressed=progressed,
        )
        self._bus.publish(payload, run_id=self._run_id, agent=self._agent)

"""The progress of one run as it is shown: what its agents do now, and how far its plan has come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import anyio
import anyio.to_thread
from pydantic import BaseModel

from orchestration.clock import Clock
from orchestration.domain.run_status import RunStatus
from orchestration.runs.activity_text import activity_seconds, activity_text, is_fresh, lost_seconds
from orchestration.runs.plan_progress import PLAN_KINDS, PlanProgress, StepProgress, agents_at_work
from orchestration.storage.runs import Runs
from orchestration.storage.timeline import HeartbeatRow, Timeline

_POLL_SECONDS = 0.5
_SIGN_SECONDS = 1.0
# Proxies commonly close a connection that has been silent for 30 or 60 seconds.
_KEEPALIVE_SECONDS = 15.0


class AgentAtWork(BaseModel):
    """An agent, or a run's check, at work now.

    `text` says what it does, and `seconds` for how long; `lost_seconds` is set if its process has given no sign of life
    for too long.
    """

    agent_run_id: str
    agent: str
    phase: str
    text: str
    seconds: float
    since: datetime
    tokens: int
    prompt_tokens: int
    ahead: int | None
    tail: str
    progress_at: datetime
    lost_seconds: float | None


class RunProgressReport(BaseModel):
    """What happens in a run now. `steps` are those of its plan, if it has one."""

    status: RunStatus
    agents: Sequence[AgentAtWork]
    steps: Sequence[StepProgress]
    steps_done: int


class RunProgressReader:
    """Reads the progress of runs; however many follow a run, it is read twice a second."""

    def __init__(self, runs: Runs, timeline: Timeline, clock: Clock) -> None:
        self._runs = runs
        self._timeline = timeline
        self._clock = clock
        self._lock = anyio.Lock()
        self._cached: dict[str, tuple[float, RunProgressReport]] = {}
        self._closed = False

    def close(self) -> None:
        """End everything that follows a run."""
        self._closed = True

    def read(self, run_id: str) -> RunProgressReport:
        """The progress now. Blocks. Raises NotFoundError."""
        run, now = self._runs.get(run_id), self._clock.now()
        events = self._timeline.list_of_kinds([run_id], PLAN_KINDS)[run_id]
        beats = () if run.status.ended else self._timeline.list_heartbeats(run_id)
        at_work, plan = agents_at_work(events), PlanProgress.of(events)
        agents = [_at_work(one, now) for one in beats if one.agent_run_id in at_work or is_fresh(one, now)]
        return RunProgressReport(
            status=run.status, agents=agents, steps=list(plan.steps.values()), steps_done=plan.done
        )

    async def follow(self, run_id: str) -> AsyncIterator[RunProgressReport]:
        """The progress whenever it has changed, and each second while an agent is at work, until the run has ended."""
        before: RunProgressReport | None = None
        at = float("-inf")
        while not self._closed:
            report = await self._shared(run_id)
            now = self._clock.monotonic()
            due = now - at >= (_SIGN_SECONDS if report.agents else _KEEPALIVE_SECONDS)
            if due or before is None or _without_time(report) != _without_time(before):
                yield report
                before, at = report, now
            if report.status.ended:
                return
            await self._clock.sleep(_POLL_SECONDS)

    async def _shared(self, run_id: str) -> RunProgressReport:
        async with self._lock:
            at, report = self._cached.get(run_id, (float("-inf"), None))
            if report is None or self._clock.monotonic() - at >= _POLL_SECONDS * 0.8:
                report = await anyio.to_thread.run_sync(self.read, run_id)
                now = self._clock.monotonic()
                recent = {name: kept for name, kept in self._cached.items() if now - kept[0] < _POLL_SECONDS}
                self._cached = {**recent, run_id: (now, report)}
            return report


def _at_work(beat: HeartbeatRow, now: datetime) -> AgentAtWork:
    return AgentAtWork(
        agent_run_id=beat.agent_run_id,
        agent=beat.agent,
        phase=beat.phase,
        text=activity_text(beat),
        seconds=round(activity_seconds(beat, now), 1),
        since=beat.since or beat.progress_at,
        tokens=beat.tokens,
        prompt_tokens=beat.prompt_tokens,
        ahead=beat.ahead,
        tail=beat.tail,
        progress_at=beat.progress_at,
        lost_seconds=lost_seconds(beat, now),
    )


def _without_time(report: RunProgressReport) -> object:
    agents = [agent.model_copy(update={"seconds": 0.0, "lost_seconds": None}) for agent in report.agents]
    return report.model_copy(update={"agents": agents})

"""A run that was started or found: its events, its end, and what can be done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from orchestration.sdk.backend import Backend, Question
from orchestration.sdk.results import RunResult

if TYPE_CHECKING:
    from orchestration.client import EventRecord, RunRecord

# Asking who works on a run reads the engine's flows and the leases, which costs more than reading the run.
_ATTENTION_SECONDS = 1.0
_ENDED = frozenset({"succeeded", "not-approved", "incomplete", "failed", "cancelled"})
_STOPPED = "stopped"
# The timeline is written in batches, so that the last events of a run can arrive after its status.
_LAST_EVENT_SECONDS = 2.0
_NO_PROVIDER = "no-provider"


class RunHandle:
    """A run. `patience` is how many seconds it may wait for a provider before it is stopped; it can then be resumed."""

    def __init__(self, backend: Backend, run: RunRecord, patience: float) -> None:
        self.id = run.id
        self.goal = run.goal
        self._backend = backend
        self._patience = patience

    async def status(self) -> str:
        """Where it stands: queued, running, waiting, stopped, succeeded, not-approved, incomplete, failed or
        cancelled."""
        return (await self._backend.run(self.id)).status

    async def result(self) -> RunResult:
        """Wait for the end, and return what the run left. A run whose process has died is continued here."""
        run = await self._ended()
        documents = await self._backend.documents(run.id)
        return RunResult(run.id, run.goal, run.status, run.reason, documents, run.outcome or {})

    async def _ended(self) -> RunRecord:
        loop, waited, looked_at, pause = asyncio.get_running_loop(), 0.0, 0.0, self._backend.poll_seconds
        while (run := await self._backend.run(self.id)).status not in _ENDED:
            if loop.time() - looked_at > _ATTENTION_SECONDS:
                looked_at = loop.time()
                await self._backend.carry_on(self.id)
            if run.status == _STOPPED and not await self._is_going_on():
                break
            waited = waited + pause if run.hold == _NO_PROVIDER else 0.0
            if waited > self._patience:
                waited = 0.0
                await self._backend.give_up(self.id)
            await asyncio.sleep(self._backend.poll_seconds)
        return await self._backend.run(self.id)

    async def events(self, *, after: int = 0) -> AsyncGenerator[EventRecord, None]:
        """What happens in the run, from its beginning or behind the event of that number, until it has ended or was
        stopped. It is read from the timeline, so that nothing is missed by whoever comes late."""
        from orchestration.events.runs import RunCancelled, RunFinished

        ended = asyncio.ensure_future(self._ended())
        last, kind, waited = after, "", 0.0
        try:
            while True:
                # Asked first: what happened before the end is on the timeline once the end is known.
                finishing = ended.done()
                for event in (found := await self._backend.events(self.id, last)):
                    last, kind = event.id, event.kind
                    yield event
                if found:
                    continue
                if finishing:
                    stopped = ended.result().status == _STOPPED
                    if stopped or kind in (RunFinished.kind, RunCancelled.kind) or waited > _LAST_EVENT_SECONDS:
                        return
                    waited += self._backend.poll_seconds
                await asyncio.sleep(self._backend.poll_seconds)
        finally:
            ended.cancel()

    async def questions(self) -> Sequence[Question]:
        """What the run asks a person."""
        return await self._backend.questions(self.id)

    async def cancel(self, reason: str = "") -> None:
        """Stop it, with its running tools. It can be resumed. Raises ConflictError if it has ended."""
        from orchestration.runs.commands.cancellation import CancelRun

        await self._backend.execute(self.id, CancelRun(reason))

    async def pause(self, reason: str = "") -> None:
        """Stop it, but leave it unfinished. Raises ConflictError if it has ended."""
        from orchestration.runs.commands.pause import PauseRun

        await self._backend.execute(self.id, PauseRun(reason))

    async def resume(self, *, rounds: int | None = None) -> RunHandle:
        """Continue it from its last checkpoint, with so many more `rounds` of corrections where its reviewer asks for
        changes. Raises ConflictError if it has succeeded or is at work."""
        from orchestration.runs.commands.resume import ResumeRun

        await self._backend.execute(self.id, ResumeRun(rounds=rounds))
        return self

    async def fork(self, number: int | None = None) -> RunHandle:
        """A new run that shares everything before one part of this one, the last unless a `number` is given."""
        from orchestration.runs.commands.fork import ForkRun

        return RunHandle(self._backend, await self._backend.execute(self.id, ForkRun(number)), self._patience)

    async def _is_going_on(self) -> bool:
        """Whether a stopped run is only between two processes: the one that takes it over sets it running at once."""
        await asyncio.sleep(self._backend.poll_seconds)
        return (await self._backend.run(self.id)).status != _STOPPED

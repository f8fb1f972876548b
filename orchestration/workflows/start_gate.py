"""What a run has to wait for before it begins, or goes on in another process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.storage.runs import PlaceTakenError, Run, Runs
from orchestration.workflows.engine import outlasting

_POLL_SECONDS = 0.5
# Such a run is resumed by somebody, who sets it to running first.
_HELD = frozenset(
    {
        RunHold.PAUSED_BY_PERSON,
        RunHold.PAUSED_BY_RESPONSE,
        RunHold.STOPPED_BY_RESPONSE,
        RunHold.CANCELLED_BY_PERSON,
    }
)


class StartGate:
    """Keeps queued and stopped runs waiting while the system is isolated, or another run works in their folder.

    It records no step, so a run comes past it anew in each process. One that is cancelled or paused meanwhile is let
    through: its flow ends at the next step.
    """

    def __init__(
        self,
        runs: Runs,
        clock: Clock,
        configuration: Callable[[], Configuration],
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        """`configuration` returns the one in force; `refresh` reads what other processes have changed in it."""
        self._runs = runs
        self._clock = clock
        self._configuration = configuration
        self._refresh = refresh

    async def enter(self, run: Run) -> None:
        """Return once a run may work, and is marked as running. One that runs already does not wait."""
        said = ""
        while run.status is not RunStatus.RUNNING and not _is_over(run) and (why := await self._obstacle(run)):
            if why != said:
                await outlasting(partial(self._runs.explain, run, why))
                said = why
            await self._clock.sleep(_POLL_SECONDS)
            run = await self._present(run)

    async def follow(self, run: Run) -> Run:
        """Return once the run that an agent works for goes on: the agent may be taken over by another process before
        its run is. Returns the run as it is then."""
        while run.status is RunStatus.STOPPED and not _is_over(run):
            await self._clock.sleep(_POLL_SECONDS)
            run = await self._present(run)
        return run

    async def _obstacle(self, run: Run) -> str:
        """What a run has to wait for; an empty text if it has begun instead."""
        await self._refresh()
        if self._configuration().runtime.isolated:
            return "the system is isolated, and no run starts before that is lifted"
        try:
            await outlasting(partial(self._runs.begin, run.id, self._clock.now()))
        except PlaceTakenError as error:
            return f"{error.holder.id} works in the same folder, and comes to its end first"
        return ""

    async def _present(self, run: Run) -> Run:
        return await outlasting(partial(self._runs.get, run.id))


def _is_over(run: Run) -> bool:
    return run.status.ended or run.hold in _HELD

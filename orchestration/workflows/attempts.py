"""Attempts of a run: one that is resumed after a failure works with the configuration in force then.

The settings of a run are recorded when it begins, so that a crash changes nothing. A further attempt records them anew,
at the first place that the run had not reached before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import anyio.to_thread

from orchestration.config.schema import Configuration
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.storage.runs import Run, Runs
from orchestration.workflows.engine import Flow
from orchestration.workflows.model import RunLimits, StoredRecord

# Somebody, or the lack of a provider, stopped the run. A run without one of these was interrupted with its process.
_STOPPED = frozenset(
    {
        RunHold.NO_PROVIDER,
        RunHold.PAUSED_BY_RESPONSE,
        RunHold.STOPPED_BY_RESPONSE,
        RunHold.PAUSED_BY_PERSON,
        RunHold.CANCELLED_BY_PERSON,
    }
)


class AttemptSettings(StoredRecord):
    """The settings of the whole run in one attempt. `baseline` is the record of the files that its changes are counted
    from, if that is another one by now."""

    added = ("baseline",)

    attempt: int
    limits: RunLimits
    review_rounds: int
    baseline: str = ""


def begins_anew(run: Run) -> bool:
    """Whether resuming the run begins another attempt: it ended, or was stopped. Pure."""
    if run.status.ended:
        return True
    return run.status is RunStatus.STOPPED and run.hold in _STOPPED


def limits_of(run: Run, configuration: Configuration) -> RunLimits:
    """The limits of a run: its own, or those of the configuration."""
    limits = configuration.runtime.limits
    return RunLimits(seconds=run.options.get("seconds", limits.seconds), model_calls=limits.model_calls)


def settings_of(run: Run, configuration: Configuration) -> AttemptSettings:
    """The settings of the run's present attempt."""
    # A single agent has no executor beside it to send the work back to.
    rounds = 0 if run.agent else configuration.runtime.review_rounds
    return AttemptSettings(attempt=run.attempt, limits=limits_of(run, configuration), review_rounds=rounds)


class Attempts:
    """Gives flows the settings of the attempt that is under way."""

    def __init__(
        self,
        runs: Runs,
        configuration: Callable[[], Configuration],
        refresh: Callable[[], Awaitable[None]],
        baseline: Callable[[Run], str] = lambda _: "",
    ) -> None:
        """`configuration` returns the one in force; `refresh` reads what other processes have changed in it. `baseline`
        returns the record of the files that a run's changes are counted from, empty for the one that it began with."""
        self._runs = runs
        self._configuration = configuration
        self._refresh = refresh
        self._baseline = baseline

    async def renewed(self, flow: Flow, run: Run, attempt: int, *, used_up: bool = False) -> AttemptSettings | None:
        """The settings in force, recorded, if a flow has to take them here: it works by an earlier `attempt`, or its
        limits are used up, so that it would end if nobody had raised them meanwhile. Otherwise None."""
        if (attempt >= run.attempt and not used_up) or not await flow.mark("attempt"):
            return None
        return await flow.step("attempt", AttemptSettings, partial(self._read, run))

    async def _read(self, run: Run) -> AttemptSettings:
        await self._refresh()
        # Read again, since the limit of the run itself may have been raised.
        present = await anyio.to_thread.run_sync(self._runs.get, run.id)
        settings = settings_of(replace(run, options=present.options), self._configuration())
        baseline = await anyio.to_thread.run_sync(self._baseline, run)
        return settings.model_copy(update={"baseline": baseline})

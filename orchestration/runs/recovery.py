"""Recovery of what dead processes leave behind, and of runs whose flow ended without recording how."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.runs import RunsRecovered
from orchestration.workflows.engine import Engine
from orchestration.workflows.run_control import RunControl

# A worker's death is noticed within about ten seconds, when its lease ends; looking more often finds nothing sooner.
_INTERVAL_SECONDS = 5.0


class RunRecovery:
    """Two loops, each of which runs until cancelled and survives an outage of the database."""

    def __init__(self, engine: Engine, control: RunControl, bus: EventBus, clock: Clock) -> None:
        self._engine = engine
        self._control = control
        self._bus = bus
        self._clock = clock

    async def recover_flows(self, wanted: Callable[[str], bool]) -> None:
        """Continue flows of dead processes, those whose identifier is wanted."""
        while True:
            with contextlib.suppress(SQLAlchemyError):  # the next round tries again
                if recovered := await self._engine.recover_all(wanted):
                    self._bus.publish(RunsRecovered(count=recovered))
            await self._clock.sleep(_INTERVAL_SECONDS)

    async def settle_runs(self) -> None:
        """Mark runs as failed whose flow has ended without saying how."""
        while True:
            with contextlib.suppress(SQLAlchemyError):
                await self._control.settle()
            await self._clock.sleep(_INTERVAL_SECONDS)

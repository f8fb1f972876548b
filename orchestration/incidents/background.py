"""Keeping the desk's timers going, and the sums behind the figures fresh, for as long as a control process runs."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.incidents import IncidentSumUpFailed, IncidentTickFailed
from orchestration.incidents.journal import ReportJournal
from orchestration.incidents.service import IncidentService
from orchestration.incidents.statistics import Statistics

_SECONDS = 1.0
_SUM_UP_SECONDS = 60.0


async def keep(
    service: IncidentService, journal: ReportJournal, bus: EventBus, clock: Clock, seconds: float = _SECONDS
) -> None:
    """Hand over what the journal keeps and do what is due, again and again, until cancelled.

    The first round catches up on whatever fell due while nobody was running. What goes wrong is said on the bus
    (`incidents.tick_failed`), once until it goes right again, and never ends the loop.
    """

    def work() -> None:
        journal.replay()
        service.fire_due_timers(clock.now())

    def complain(error: Exception) -> None:
        bus.publish(IncidentTickFailed(error=error.__class__.__name__))

    await _repeat(work, complain, clock, seconds)


async def keep_sums(statistics: Statistics, bus: EventBus, clock: Clock, seconds: float = _SUM_UP_SECONDS) -> None:
    """Sum up what has changed, again and again, until cancelled, so that nobody who asks for figures waits for it.

    What goes wrong is said on the bus (`incidents.sum_up_failed`), once until it goes right again.
    """

    def work() -> None:
        statistics.build_rollups(clock.now())

    def complain(error: Exception) -> None:
        bus.publish(IncidentSumUpFailed(error=error.__class__.__name__))

    await _repeat(work, complain, clock, seconds)


async def _repeat(
    work: Callable[[], None], complain: Callable[[Exception], None], clock: Clock, seconds: float
) -> None:
    failing = False
    while True:
        try:
            await anyio.to_thread.run_sync(work)
        except Exception as error:  # noqa: BLE001 (whatever one incident does, the others' timers must go on)
            if not failing:
                complain(error)
            failing = True
        else:
            failing = False
        await clock.sleep(seconds)

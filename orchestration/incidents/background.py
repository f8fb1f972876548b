"""Background loops of a control process: firing incident timers, and refreshing the sums behind the statistics."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.incidents import IncidentStatisticsFailed, IncidentTickFailed
from orchestration.incidents.journal import ReportJournal
from orchestration.incidents.service import IncidentService
from orchestration.incidents.statistics import Statistics

# A timer fires at most so late. A round with nothing due costs 0.2 ms (docs/explanation/measurements.md).
_SECONDS = 1.0
# Often enough that a request finds few outdated days, which it would have to sum up itself.
_SUM_UP_SECONDS = 60.0


async def run(
    service: IncidentService, journal: ReportJournal, bus: EventBus, clock: Clock, seconds: float = _SECONDS
) -> None:
    """Replay the journal and fire due timers, again and again, until cancelled.

    The first round catches up on everything that fell due while no process was running. A failure is published on the
    bus (`incidents.tick_failed`), once until a round succeeds again, and never ends the loop.
    """

    def work() -> None:
        # First: what was reported while the database was away may have made an incident whose timers are already due.
        journal.replay()
        service.fire_due_timers(clock.now())

    def complain(error: Exception) -> None:
        bus.publish(IncidentTickFailed(error=error.__class__.__name__))

    await _repeat(work, complain, clock, seconds)


async def refresh_sums(statistics: Statistics, bus: EventBus, clock: Clock, seconds: float = _SUM_UP_SECONDS) -> None:
    """Refresh the daily sums of changed days, again and again, until cancelled, so that no query has to wait for it.

    A failure is published on the bus (`incidents.sum_up_failed`), once until a round succeeds again.
    """

    def work() -> None:
        statistics.build_rollups(clock.now())

    def complain(error: Exception) -> None:
        bus.publish(IncidentStatisticsFailed(error=error.__class__.__name__))

    await _repeat(work, complain, clock, seconds)


async def _repeat(
    work: Callable[[], None], complain: Callable[[Exception], None], clock: Clock, seconds: float
) -> None:
    failing = False
    while True:
        try:
            # In a thread: a locked SQLite database may make it wait for half a minute, in which the loop has others to
            # serve.
            await anyio.to_thread.run_sync(work)
        except Exception as error:  # noqa: BLE001 (whatever one incident does, the others' timers must go on)
            if not failing:
                complain(error)
            failing = True
        else:
            failing = False
        await clock.sleep(seconds)

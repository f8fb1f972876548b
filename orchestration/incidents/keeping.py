"""Keeping the desk's timers going for as long as a control process runs."""

from __future__ import annotations

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.events import Bus
from orchestration.incidents.desk import Desk
from orchestration.incidents.journal import Journal

_SECONDS = 1.0


async def keep(desk: Desk, journal: Journal, bus: Bus, clock: Clock, seconds: float = _SECONDS) -> None:
    """Hand over what the journal keeps and do what is due, again and again, until cancelled.

    The first round catches up on whatever fell due while nobody was running. What goes wrong is said on the bus
    (`incidents.tick_failed`), once until it goes right again, and never ends the loop.
    """
    failing = False
    while True:
        try:
            await anyio.to_thread.run_sync(journal.replay)
            await anyio.to_thread.run_sync(desk.tick, clock.now())
        except Exception as error:  # noqa: BLE001 (whatever one incident does, the others' timers must go on)
            if not failing:
                bus.emit("incidents.tick_failed", error=error.__class__.__name__)
            failing = True
        else:
            failing = False
        await clock.sleep(seconds)

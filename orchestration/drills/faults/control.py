"""Drills about the system itself: its workers, its control process, its database."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from orchestration.config.response import Scenario, Severity
from orchestration.drills.ground import Ground
from orchestration.drills.model import Drill, Ending, Expectation, Setting, Work

_SCENARIO = Scenario.CONTROL_PLANE
_ABSORBED = Expectation(Ending.ABSORBED, calls_repeated=1)
_AWAY_SECONDS = 12.0
_PAGE = 4096


def drills() -> Iterator[Drill]:
    """All of them."""
    yield Drill("worker-killed", "The only worker is killed while it works", _ABSORBED, _kill_worker, _SCENARIO)
    yield Drill(
        "workers-crash-again",
        "Workers are killed three times within a short time",
        Expectation(
            Ending.REPAIRED,
            _SCENARIO,
            Severity.P1,
            detected_within=30.0,
            resolved_within=45.0,
            calls_repeated=3,
            deadline=120,
        ),
        _kill_workers,
        _SCENARIO,
        setting=Setting(latency_ms=60),
    )
    yield Drill("control-killed", "The control process is killed while work runs", _ABSORBED, _kill_control, _SCENARIO)
    yield Drill(
        "control-killed-in-response",
        "The control process is killed while it responds to an incident",
        Expectation(
            Ending.REPAIRED,
            Scenario.PROVIDER_UNAVAILABLE,
            Severity.P2,
            helped="use-fallback",
            calls_repeated=2,
            resolved_within=30,
        ),
        _kill_in_response,
        _SCENARIO,
    )
    yield Drill(
        "database-stops",
        "The database gives no answer for 12 seconds",
        Expectation(Ending.REPAIRED, _SCENARIO, Severity.P0, detected_within=10.0, resolved_within=60.0),
        _hold_database,
        _SCENARIO,
    )
    yield Drill(
        "database-damaged",
        "Pages of the database are overwritten",
        Expectation(Ending.HANDED_OVER, _SCENARIO, Severity.P0, level=2, detected_within=10.0, work_succeeds=False),
        _damage_database,
        _SCENARIO,
        Work(),
        Setting(configuration={"monitoring": {"integritySeconds": 2}}),
    )


async def _kill_worker(ground: Ground) -> None:
    os.killpg((await ground.worker_pids())[0], signal.SIGKILL)


async def _kill_workers(ground: Ground) -> None:
    seen: set[int] = set()

    async def fresh() -> set[int]:
        return set(await ground.worker_pids()) - seen

    for _ in range(3):
        pids = await ground.until(fresh, "a worker to kill")
        for pid in pids:
            os.killpg(pid, signal.SIGKILL)
        seen |= pids


async def _kill_control(ground: Ground) -> None:
    """Whoever supervises it starts it again, as a service manager does."""
    ground.control.kill()
    await ground.serve()


async def _kill_in_response(ground: Ground) -> None:
    from orchestration.drills.watching import Watcher

    await ground.primary.kill()
    watcher = Watcher(ground)

    async def responding() -> bool:
        incidents = await ground.database.call(watcher.incidents)
        return any(watcher.responses(incident) for incident in incidents)

    await ground.until(responding, "a response")
    await _kill_control(ground)


async def _hold_database(ground: Ground) -> None:
    """Whoever wants to read or write it gets no answer for a while."""
    await ground.hold_database(_AWAY_SECONDS)


async def _damage_database(ground: Ground) -> None:
    """Nonsense over some pages beyond the first, as a dying disk leaves it."""
    with ground.database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)")
    with ground.database_file.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for page in range(2, min(size // _PAGE, 400), 3):
            file.seek(page * _PAGE)
            file.write(b"\xde\xad\xbe\xef" * (_PAGE // 4))

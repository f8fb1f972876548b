"""Drills about the system itself: its workers, its control process, its database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import closing
from functools import partial

import anyio
import anyio.to_thread

from orchestration import backoff
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills import person, postgres_server
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import CALLS_UNDER_WAY, DrillExpectation, DrillOutcome
from orchestration.drills.faults.own_provider import own_provider, trigger_own_provider
from orchestration.drills.model import Drill, DrillWork
from orchestration.drills.observer import DrillObserver
from orchestration.drills.processes import DrillProcess
from orchestration.drills.project import laid_over
from orchestration.drills.setup import DrillSetting
from orchestration.events.maintenance import BackupFailed
from orchestration.storage.timeline import Timeline

_SCENARIO = Scenario.CONTROL_PLANE
_ABSORBED = DrillExpectation(DrillOutcome.ABSORBED, calls_repeated=CALLS_UNDER_WAY)
_AWAY_SECONDS = 8.0
# The interval at which the database is checked.
_DATABASE_SECONDS = 2.0
# How long a writer waits for a lock before it counts as a failure of the database.
_LOCK_PATIENCE_SECONDS = 4.0
_LOCKED_SECONDS = 12.0
_START_SECONDS = 10.0
# A worker's lease, and the time that its supervisor has to replace it before an alert fires.
_LEASE_SECONDS, _LOST_HOLD = 10.0, 5.0
_DEATHS = 3
_CHANNEL, _CHANNEL_HOLD = "hook", 1.0
_RELOAD_SECONDS = 3.0
# What has happened once counts for so long, which is minutes or hours by default.
_REMEMBERED_SECONDS = 15.0
# Starting a program of the console takes a few seconds.
_COMMAND_SECONDS = 5.0
# SQLite's default page size: https://www.sqlite.org/pragma.html#pragma_page_size
_PAGE = 4096
_ROOT_PAGE = "SELECT rootpage FROM sqlite_master WHERE name = 'spend'"


async def _kill_worker(environment: DrillEnvironment) -> None:
    os.killpg((await environment.worker_pids())[0], signal.SIGKILL)


async def _kill_workers(environment: DrillEnvironment) -> None:
    seen: set[int] = set()

    async def fresh() -> set[int]:
        return set(await environment.worker_pids()) - seen

    for _ in range(_DEATHS):
        pids = await environment.until(fresh, "a worker to kill")
        # The last one counts: a crash loop is known only when the third worker is replaced, after a pause.
        environment.mark_injected()
        for pid in pids:
            os.killpg(pid, signal.SIGKILL)
        seen |= pids


async def _block_worker(environment: DrillEnvironment) -> None:
    """Its event loop turns, and its supervisor hears it, but it does no work any more."""
    trigger_own_provider(environment, "block")


async def _kill_control(environment: DrillEnvironment) -> None:
    """Kill it, and start it again as a service manager would."""
    environment.control.kill()
    await environment.serve()


async def _kill_in_response(environment: DrillEnvironment) -> None:
    await environment.primary.kill()
    watcher = DrillObserver(environment)

    async def responding() -> bool:
        incidents = await environment.database.call(watcher.incidents)
        return any(watcher.responses(incident) for incident in incidents)

    await environment.until(responding, "a response")
    await _kill_control(environment)


async def _take_database(environment: DrillEnvironment) -> None:
    """Replace the file by a link to nowhere: opening it fails, as connecting to a stopped server does. With the file
    merely gone, SQLite would create an empty one."""
    file, hidden = environment.database_file, environment.database_file.with_suffix(".hidden")
    environment.close_database()
    file.rename(hidden)
    file.symlink_to(file.parent / "nowhere" / file.name)
    await environment.clock.sleep(_AWAY_SECONDS)
    hidden.replace(file)


async def _lock_database(environment: DrillEnvironment) -> None:
    """Another process holds the write lock, as a stuck backup or a forgotten console would."""
    environment.close_database()
    words = ("orchestration.drills.sqlite_lock", str(environment.database_file), str(_LOCKED_SECONDS))
    child = DrillProcess(words, environment.folder, environment.folder / "locking.log", environment.clock)
    await child.wait_for_output("holds the lock", _START_SECONDS)
    environment.mark_injected()
    await child.wait(_LOCKED_SECONDS + _START_SECONDS)


async def _stop_server(environment: DrillEnvironment) -> None:
    environment.close_database()
    await anyio.to_thread.run_sync(environment.server.stop)
    await environment.clock.sleep(_AWAY_SECONDS)
    await environment.server.start()


async def _back_up(environment: DrillEnvironment) -> None:
    """Make a backup first: the playbook has to be able to offer one for restoring."""
    await environment.command("backups", "make")


async def _damage_database(environment: DrillEnvironment) -> None:
    """Overwrite the first page of a table, as a failing disk would."""
    with environment.database.read() as connection:
        # Pages that are still in the write-ahead log would hide the damage in the file.
        connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)")
        found = connection.exec_driver_sql(_ROOT_PAGE).scalar_one()
    with environment.database_file.open("r+b") as file:
        file.seek((found - 1) * _PAGE)
        file.write(b"\xde\xad\xbe\xef" * (_PAGE // 4))


async def _fail_backup(environment: DrillEnvironment) -> None:
    """A file lies where the folder of the backups should be."""
    folder = environment.folder / "var" / "backups"
    if folder.exists():
        folder.rename(folder.with_suffix(".aside"))
    folder.write_text("", encoding="utf-8")
    since = environment.clock.now()

    async def failed() -> bool:
        timeline = Timeline(environment.database)
        return bool(await environment.database.call(lambda: timeline.list_recent((BackupFailed.kind,), since)))

    async with anyio.create_task_group() as group:
        group.start_soon(partial(environment.command, "backups", "make", code=1))
        await environment.until(failed, "a backup that fails")
        # Only for a moment: what has failed once may work a second later.
        folder.unlink()


async def _choose_receiver(environment: DrillEnvironment) -> None:
    """A port on which nothing listens yet."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment.kept["port"] = port
    url = {"response": {"channels": {_CHANNEL: {"url": f"http://127.0.0.1:{port}/"}}}}
    environment.write_configuration(laid_over(environment.read_configuration(), url))
    # Longer than the interval at which an edited configuration is read.
    await environment.clock.sleep(_RELOAD_SECONDS)


async def _bring_receiver(environment: DrillEnvironment) -> None:
    """The receiver comes back once the page has gone another way; it accepts whatever is sent."""
    await person.wait_for_action(environment, "people.redirect")

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", environment.kept["port"])
    async with server:
        await server.serve_forever()


async def _break_channel(environment: DrillEnvironment) -> None:
    """Something that is worth a page; the page does not arrive."""
    await environment.primary.kill()


WORKER_KILLED = Drill("worker-killed", "The only worker is killed while it works", _ABSORBED, _kill_worker, _SCENARIO)
WORKERS_CRASH_AGAIN = Drill(
    "workers-crash-again",
    "Workers are killed three times within a short time",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P1,
        helped="by-itself",
        holds=backoff.delay(_DEATHS, 1.0),
        lasts=2 * _REMEMBERED_SECONDS,
        calls_repeated=3,
    ),
    _kill_workers,
    _SCENARIO,
    setting=DrillSetting(
        latency_ms=60,
        configuration={"alerting": {"rules": {"workers-crashing": {"window": 2 * _REMEMBERED_SECONDS}}}},
    ),
)
WORKER_DOES_NO_WORK = Drill(
    "worker-does-no-work",
    "A provider of the user's own blocks all threads of a worker, whose heartbeat goes on",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P2,
        helped="replace",
        finds=("fleet",),
        holds=_LEASE_SECONDS + _LOST_HOLD,
        calls_repeated=CALLS_UNDER_WAY,
    ),
    _block_worker,
    _SCENARIO,
    # The share of the fleet that does no work has to be small enough for acting by itself.
    setting=own_provider(3, alerting={"rules": {"worker-lost": {"hold": _LOST_HOLD}}}),
)
CONTROL_KILLED = Drill(
    "control-killed", "The control process is killed while work runs", _ABSORBED, _kill_control, _SCENARIO
)
CONTROL_KILLED_IN_RESPONSE = Drill(
    "control-killed-in-response",
    "The control process is killed while it responds to an incident",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        Scenario.PROVIDER_UNAVAILABLE,
        Severity.P2,
        helped="use-fallback",
        mended=True,
        calls_repeated=CALLS_UNDER_WAY,
    ),
    _kill_in_response,
    _SCENARIO,
)
DATABASE_STOPS = Drill(
    "database-stops",
    "The database cannot be opened for 8 seconds",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P0,
        helped="by-itself",
        finds=("database",),
        every=_DATABASE_SECONDS,
        lasts=_AWAY_SECONDS,
        calls_repeated=CALLS_UNDER_WAY,
    ),
    _take_database,
    _SCENARIO,
    sqlite_only=True,
)
DATABASE_LOCKED = Drill(
    "database-locked",
    "Another program keeps the database's file locked for 12 seconds",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P0,
        helped="by-itself",
        finds=("database",),
        holds=_LOCK_PATIENCE_SECONDS,
        every=_DATABASE_SECONDS,
        lasts=_LOCKED_SECONDS,
        calls_repeated=CALLS_UNDER_WAY,
    ),
    _lock_database,
    _SCENARIO,
    sqlite_only=True,
)
DATABASE_SERVER_STOPS = Drill(
    "database-server-stops",
    "The PostgreSQL server is stopped, and started again after 8 seconds",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P0,
        helped="by-itself",
        finds=("database",),
        every=_DATABASE_SECONDS,
        lasts=_AWAY_SECONDS,
        calls_repeated=CALLS_UNDER_WAY,
    ),
    _stop_server,
    _SCENARIO,
    setting=DrillSetting(own_server=True),
    impossible=postgres_server.impossible,
)
BACKUP_FAILS = Drill(
    "backup-fails",
    "A backup cannot be written, because something is in the way for a moment",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P2,
        helped="again",
        finds=("backups",),
        lasts=_COMMAND_SECONDS + _REMEMBERED_SECONDS,
    ),
    _fail_backup,
    _SCENARIO,
    DrillWork(),
    DrillSetting(configuration={"alerting": {"rules": {"backup-failed": {"window": _REMEMBERED_SECONDS}}}}),
)
CHANNEL_BROKEN = Drill(
    "channel-broken",
    "The receiver of a channel is gone when a page is due",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P2,
        helped="other-channel",
        finds=("channels",),
        holds=_CHANNEL_HOLD,
        channels=frozenset({_CHANNEL}),
        beside=frozenset({Scenario.PROVIDER_UNAVAILABLE}),
        calls_repeated=CALLS_UNDER_WAY,
        mended=True,
    ),
    _break_channel,
    _SCENARIO,
    prepare=_choose_receiver,
    attend=_bring_receiver,
    setting=DrillSetting(
        configuration={
            "alerting": {"rules": {"channel-down": {"hold": _CHANNEL_HOLD}}},
            "response": {
                # Replaced by a free port of this machine when the drill begins.
                "channels": {_CHANNEL: {"type": "webhook", "url": "http://127.0.0.1:9/"}},
                "contacts": [
                    {"id": "engineer", "level": 1, "channels": [{"channel": _CHANNEL}, {"channel": "log"}]},
                    {"id": "lead", "level": 2, "channels": [{"channel": "log"}]},
                ],
            },
        }
    ),
)
DATABASE_DAMAGED = Drill(
    "database-damaged",
    "A page of the database is overwritten",
    DrillExpectation(
        DrillOutcome.HANDED_OVER,
        _SCENARIO,
        Severity.P0,
        level=4,
        contains="isolate",
        offers=("security.isolate", "security.restore-test"),
        every=_DATABASE_SECONDS,
        work_succeeds=False,
    ),
    _damage_database,
    _SCENARIO,
    DrillWork(),
    DrillSetting(configuration={"monitoring": {"integritySeconds": _DATABASE_SECONDS}}),
    prepare=_back_up,
    sqlite_only=True,
)

DRILLS = (
    WORKER_KILLED,
    WORKERS_CRASH_AGAIN,
    WORKER_DOES_NO_WORK,
    CONTROL_KILLED,
    CONTROL_KILLED_IN_RESPONSE,
    DATABASE_STOPS,
    DATABASE_LOCKED,
    DATABASE_SERVER_STOPS,
    BACKUP_FAILS,
    CHANNEL_BROKEN,
    DATABASE_DAMAGED,
)

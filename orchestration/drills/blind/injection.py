"""How each primitive is injected into a running project, and how it is ended again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.drills.blind.primitives import DrawnFault
from orchestration.drills.disk import remount
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.processes import DrillError, DrillProcess
from orchestration.monitoring.collectors import cgroup
from orchestration.storage.database import StorageError

End = Callable[[], Awaitable[None]]
Injection = Callable[[DrillEnvironment, DrawnFault], Awaitable[End]]

# The files by which a drill makes its own `python3` fail, and shifts the clock of its processes.
# The order lies where commands may write, since it is carried out once, and where nobody takes it for a result.
TOOL_FAULT, CLOCK_FILE = "work/__pycache__/python3.fault", "clock"
MEMORY_MB, DISK_MB = 1200, 256
_FOREVER = 600.0
_MEMORY_SHARE = 0.8
_MEGABYTE = 1_048_576
_LEFT_PERCENT = 6.0
_OLD_SECONDS = 30 * 86_400.0
_START_SECONDS = 20.0
_RESTART_SECONDS = 90.0
_TRIES = 10


async def _nothing() -> None:
    """What has ended by itself."""


async def _kill_provider(environment: DrillEnvironment, _fault: DrawnFault) -> End:
    await environment.primary.kill()
    return environment.primary.start


async def _freeze_provider(environment: DrillEnvironment, _fault: DrawnFault) -> End:
    environment.primary.freeze()

    async def end() -> None:
        environment.primary.thaw()

    return end


async def _close_port(environment: DrillEnvironment, fault: DrawnFault) -> End:
    await environment.primary.fault("refuse", seconds=fault.lasts or _FOREVER)

    async def reopen() -> None:
        await environment.primary.kill()
        await environment.primary.start()

    # The port opens by itself after its time; one that stays closed takes no order either.
    return _nothing if fault.lasts else reopen


async def _spoil(environment: DrillEnvironment, fault: DrawnFault) -> End:
    order = {name: value for name, value in fault.values.items() if name in ("number", "count", "every")}
    # A bounded fault would be used up by a health probe otherwise, before any call meets it.
    match: dict[str, str] = {"path": "/v1/chat/completions"} if "count" in order else {}
    if role := fault.values.get("role"):
        match["role"] = role
    try:
        await environment.primary.fault(fault.values["fault"], **order, **({"match": match} if match else {}))
    except DrillError:
        # Another fault has killed, stopped or closed it: it takes no order, and gives no answer that could be spoilt.
        return _nothing

    async def end() -> None:
        # The end of another fault may have started it anew, without this one, or is about to let it go on.
        for _ in range(_TRIES):
            with contextlib.suppress(DrillError):
                await environment.primary.end_faults()
                return
            await environment.clock.sleep(1.0)

    return end


async def _damage_tool_result(environment: DrillEnvironment, fault: DrawnFault) -> End:
    order = environment.folder / TOOL_FAULT
    order.parent.mkdir(exist_ok=True)
    _write_whole(order, fault.values["how"])
    return _nothing


def _signal_worker(number: signal.Signals) -> Injection:
    async def inject(environment: DrillEnvironment, _fault: DrawnFault) -> End:
        async def workers() -> list[int]:
            try:
                return await environment.worker_pids()
            except (SQLAlchemyError, StorageError):
                return []  # another fault of the drill keeps the database away for now

        pid = (await environment.until(workers, "a worker"))[0]
        os.killpg(pid, number) if number is signal.SIGKILL else os.kill(pid, number)
        return _nothing

    return inject


async def _kill_control(environment: DrillEnvironment, _fault: DrawnFault) -> End:
    environment.control.kill()
    end = environment.clock.monotonic() + _RESTART_SECONDS
    # As a service manager does it: again and again, since it may not start while its database is away.
    while True:
        try:
            await environment.serve()
        except DrillError:
            if environment.clock.monotonic() > end:
                raise
            await environment.clock.sleep(1.0)
        else:
            return _nothing


async def _shift_clock(environment: DrillEnvironment, fault: DrawnFault) -> End:
    file = environment.folder / CLOCK_FILE
    _write_whole(file, f"{fault.values['seconds']:+d}\n")

    async def end() -> None:
        _write_whole(file, "+0\n")

    return end


async def _fill_disk(environment: DrillEnvironment, fault: DrawnFault) -> End:
    ours = fault.values["whose"] == "ours"
    folder = environment.folder / ("logs" if ours else "theirs")
    folder.mkdir(exist_ok=True)
    await anyio.to_thread.run_sync(_fill, folder, environment.clock.now().timestamp() - _OLD_SECONDS)

    async def end() -> None:
        for path in folder.glob("*Z"):
            path.unlink(missing_ok=True)

    return end


def _fill(folder: Path, then: float) -> None:
    """With files as a month of rotated logs leaves them."""
    number = 0
    while 100 * (usage := shutil.disk_usage(folder)).free / usage.total > _LEFT_PERCENT:
        number += 1
        path = folder / f"orchestrator.log.20200101T000000.{number:06}Z"
        path.write_bytes(b"x" * 1_000_000)
        os.utime(path, (then, then))


async def _take_memory(environment: DrillEnvironment, fault: DrawnFault) -> End:
    """Fill the share up to the part that the rule calls too much, whatever we use of it ourselves."""
    usage = cgroup.read(membership=Path(f"/proc/{environment.control.pid}/cgroup"))
    free = _MEMORY_SHARE * (usage.memory_limit or 0) - (usage.memory_used or 0)
    return await _beside(environment, "hoard", str(int(free / _MEGABYTE)), str(fault.lasts or _FOREVER))


async def _burn_processor(environment: DrillEnvironment, fault: DrawnFault) -> End:
    return await _beside(environment, "burn", str(fault.lasts or _FOREVER))


async def _beside(environment: DrillEnvironment, *words: str) -> End:
    child = await environment.start_neighbour(*words)

    async def end() -> None:
        child.kill()

    return end


async def _damage_file(environment: DrillEnvironment, fault: DrawnFault) -> End:
    file = await _file_to_damage(environment, fault.values["which"])
    before = file.read_bytes()
    if fault.values["how"] == "removed":
        file.unlink()
    else:
        file.write_bytes(before[: len(before) // 2])

    async def end() -> None:
        # The person whose slip it was puts the configuration right; logs and artifacts are the system's own.
        if file == environment.configuration_file:
            _write_whole(file, before.decode())

    return end


async def _file_to_damage(environment: DrillEnvironment, which: str) -> Path:
    async def artifact() -> list[Path]:
        return sorted(environment.folder.glob("artifacts/*/plan.md"))

    if which == "configuration":
        return environment.configuration_file
    if which == "logs":
        return environment.folder / "logs" / "orchestrator.log"
    return (await environment.until(artifact, "an artifact"))[0]


async def _take_permission(environment: DrillEnvironment, fault: DrawnFault) -> End:
    """Read-only, which binds root as well: a mode does not."""
    folder = environment.folder / fault.values["which"]
    folder.mkdir(exist_ok=True)
    undo = await anyio.to_thread.run_sync(remount, folder)

    async def end() -> None:
        await anyio.to_thread.run_sync(undo)

    return end


async def _take_database(environment: DrillEnvironment, _fault: DrawnFault) -> End:
    """Replace the file by a link to nowhere: with the file merely gone, SQLite would create an empty one."""
    file, hidden = environment.database_file, environment.database_file.with_suffix(".hidden")
    environment.close_database()
    file.rename(hidden)
    file.symlink_to(file.parent / "nowhere" / file.name)

    async def end() -> None:
        hidden.replace(file)

    return end


async def _lock_database(environment: DrillEnvironment, fault: DrawnFault) -> End:
    environment.close_database()
    words = (str(environment.database_file), str(fault.lasts or 0.0))
    printed = environment.folder / "locking.log"
    child = DrillProcess(("orchestration.drills.sqlite_lock", *words), environment.folder, printed, environment.clock)
    await child.wait_for_output("holds the lock", _START_SECONDS)

    async def end() -> None:
        child.kill()

    return end


def _write_whole(file: Path, text: str) -> None:
    """In one piece: it is read at any time."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


INJECTIONS: Mapping[str, Injection] = {
    "provider-killed": _kill_provider,
    "provider-stopped": _freeze_provider,
    "port-closed": _close_port,
    **dict.fromkeys(
        (
            *("latency", "connections-dropped", "status-overload", "status-once", "rate-limited", "service-retired"),
            *("body-damaged", "stream-cut", "stream-stalled", "credential-refused", "quota-used-up", "answer-damaged"),
        ),
        _spoil,
    ),
    "tool-result-damaged": _damage_tool_result,
    "worker-killed": _signal_worker(signal.SIGKILL),
    "worker-stopped": _signal_worker(signal.SIGSTOP),
    "control-killed": _kill_control,
    "clock-offset": _shift_clock,
    "disk-full": _fill_disk,
    "memory-short": _take_memory,
    "processor-busy": _burn_processor,
    "file-damaged": _damage_file,
    "permission-lost": _take_permission,
    "database-away": _take_database,
    "database-locked": _lock_database,
}

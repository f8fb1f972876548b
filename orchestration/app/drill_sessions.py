"""Drills started from a page or the API: one session at a time, by the console command in a process of its own.

That process gives each drill a project and a database of its own, and adds the results to this project's history. A
lease says what is running: it is valid as long as that process lives, even if this one is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import psutil
from sqlalchemy.exc import SQLAlchemyError

from orchestration.app.application import Application
from orchestration.config.isolation import require_not_isolated
from orchestration.drills import catalogue
from orchestration.drills.model import Drill
from orchestration.errors import ConflictError, UsageError
from orchestration.events.drills import DrillConcluded, DrillFinished, DrillRequested, DrillStarted, DrillStopped
from orchestration.ids import new_id
from orchestration.storage.drills import DrillHistory, DrillRecord
from orchestration.storage.leases import Lease
from orchestration.workflows.processes import is_live, start_of, this_process

_LEASE = "drills"
# The longest that one drill takes, including set-up and clean-up. The lease expires after that, so that a lost session
# does not block drills for ever.
_LONGEST_SECONDS = 180.0
# A drill that is asked to stop has to stop its own control process, which has to stop its workers.
_GRACE_SECONDS = 30.0
# The end of the output, where an error has its message.
_MOST_SAID = 2000
# asyncio limits a line to 64 KiB and raises ValueError beyond it
# (https://docs.python.org/3/library/asyncio-stream.html).
_LONGEST_LINE = 1_000_000


@dataclass(frozen=True, slots=True)
class DrillSession:
    """A running set of drills. `current` is the one that runs now; `results` are those of finished ones, oldest first;
    `left_out` says why some cannot run."""

    id: str
    drills: tuple[str, ...]
    game_day: str
    actor: str
    started_at: datetime
    current: str = ""
    left_out: Mapping[str, str] | None = None
    results: tuple[DrillRecord, ...] = ()


class DrillSessions:
    """Begins drills, tells how far they are, and stops them."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._history = DrillHistory(app.database)

    async def begin(self, names: Sequence[str], actor: str, game_day: str = "") -> DrillSession:
        """Begin to hold the drills of these names, or of these scenarios. Raises NotFoundError for others, UsageError
        for one that cannot be held here, and ConflictError while some are under way."""
        require_not_isolated(self._app.store, "begin a drill")
        chosen = _chosen(names)
        now = self._app.clock.now()
        drills = tuple(one.name for one in chosen)
        session = DrillSession(new_id("drills", now.timestamp()), drills, game_day, actor, now)
        begun: DrillSession = await self._app.tasks.start(_Holding(self._app, session).hold)
        return begun

    def under_way(self) -> DrillSession | None:
        """What is held now; None when nothing is. Blocks."""
        # The lease of a killed process stays valid until it expires, but no drill runs then.
        lease = self._lease()
        if lease is None or not is_live(lease):
            return None
        session = _read(lease.data["session"])
        held = self._history.list(limit=2 * len(session.drills))
        mine = [one for one in held if one.started_at >= session.started_at and one.drill in session.drills]
        return replace(session, results=tuple(reversed(mine)))

    def stop(self, actor: str) -> DrillSession:
        """Have the drills that are under way end at once, cleared away. Raises ConflictError where there are none, and
        where they are held on another machine. Blocks."""
        lease, session = self._lease(), self.under_way()
        if lease is None or session is None:
            raise ConflictError("expected drills that are under way, got none; they may just have ended")
        # A process number means nothing on another machine; here it could be anybody's.
        if lease.data["host"] != socket.gethostname():
            raise ConflictError(f"expected drills of this machine, got some on {lease.data['host']}; stop them there")
        if lease.data["pid"] != os.getpid():  # else it has not even begun
            with contextlib.suppress(ProcessLookupError):
                os.kill(lease.data["pid"], signal.SIGTERM)
        self._app.bus.publish(DrillStopped(session=session.id), actor=actor)
        return session

    def _lease(self) -> Lease | None:
        return next((one for one in self._app.leases.list(_LEASE) if one.name == _LEASE), None)


class _Holding:
    """One set of drills, from its beginning to its end."""

    def __init__(self, app: Application, session: DrillSession) -> None:
        self._app = app
        self._bus = app.bus
        self._session = session
        self._seconds = _LONGEST_SECONDS * len(session.drills)
        self._history = DrillHistory(app.database)
        self._said = ""

    async def hold(self, *, task_status: anyio.abc.TaskStatus[DrillSession]) -> None:
        """1. Take the lease, or refuse. 2. Start the process. 3. Follow what it says. 4. Let go, whatever happened."""
        if not await anyio.to_thread.run_sync(self._take):
            raise ConflictError("expected no drills under way, got some; wait for their end, or stop them")
        try:
            async with self._process() as process:
                await self._tell(process.pid)
                session, drills = self._session, tuple(self._session.drills)
                self._bus.publish(DrillRequested(session=session.id, drills=drills), actor=session.actor)
                task_status.started(self._session)
                with contextlib.suppress(SQLAlchemyError):  # without the database nobody can be told; it goes on
                    await self._follow(process)
                await process.communicate()
                code = process.returncode or 0
        finally:
            with anyio.CancelScope(shield=True), contextlib.suppress(SQLAlchemyError):
                await anyio.to_thread.run_sync(self._app.leases.release, _LEASE, self._session.id)
        self._conclude(code)

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        with anyio.CancelScope(shield=True):  # a cancelled start would leave a process without an owner
            process = await asyncio.create_subprocess_exec(
                *command(str(self._app.config_file), self._session),
                stdin=asyncio.subprocess.DEVNULL,
                # The results are read from the history, which survives this process.
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                # A session of its own: a Ctrl-C at the terminal reaches only this process, which then lets the drills
                # clear away what they have started.
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        """Each drill says its name when it begins, and each that is left out why."""
        if process.stderr is None:
            return
        while line := (await process.stderr.readline()).decode(errors="replace").strip():
            name, _, said = line.partition(": ")
            if name not in self._session.drills:
                self._said = f"{self._said}\n{line}"[-_MOST_SAID:]
                continue
            reason = said.removeprefix("left out: ")
            if reason != said:
                left_out = {**(self._session.left_out or {}), name: reason}
                self._session = replace(self._session, left_out=left_out)
            else:
                await self._finished()
                self._session = replace(self._session, current=name)
                self._bus.publish(DrillStarted(session=self._session.id, drill=name), actor=self._session.actor)
            await self._tell(process.pid)
        await self._finished()

    async def _finished(self) -> None:
        """Say how the last one went."""
        name, actor, session = self._session.current, self._session.actor, self._session.id
        # The drill wrote its record before it named the next one, so the newest record is its own.
        newest = await anyio.to_thread.run_sync(lambda: self._history.list(name, 1)) if name else ()
        for record in newest:
            finished = DrillFinished(session, name, record.passed, tuple(record.misses))
            self._bus.publish(finished, actor=actor)

    def _take(self) -> bool:
        """Whether nobody else has the lease; one whose process is gone counts no more."""
        leases = self._app.leases
        for lease in leases.list(_LEASE):
            if lease.name == _LEASE and not is_live(lease):
                leases.release(_LEASE, lease.holder)
        return leases.acquire(_LEASE, self._session.id, self._seconds, this_process(session=_written(self._session)))

    async def _tell(self, pid: int) -> None:
        about: dict[str, Any] = {"pid": pid, "session": _written(self._session)}
        with contextlib.suppress(psutil.NoSuchProcess):
            # Process numbers are reused; the start time tells this process from a later one with its number.
            about |= start_of(pid)
        data = {**this_process(), **about}
        await anyio.to_thread.run_sync(lambda: self._app.leases.acquire(_LEASE, self._session.id, self._seconds, data))

    def _conclude(self, code: int) -> None:
        """Exit code 1 says that a drill went otherwise than expected, which its record says, too."""
        message = "" if code in (0, 1) else self._said.strip() or f"its process ended with exit code {code}"
        told = self._app.redactor.text(message)
        actor, session = self._session.actor, self._session.id
        self._bus.publish(DrillConcluded(session=session, exit_code=code, message=told), actor=actor)


def command(config_file: str, session: DrillSession) -> tuple[str, ...]:
    """The command that runs them."""
    named = ("--game-day", session.game_day) if session.game_day else ()
    program = (sys.executable, "-m", "orchestration", "--config", config_file)
    # Behind `--`, a name can never be read as an option.
    return (*program, "drill", "--json", *named, "--", *session.drills)


def _chosen(names: Sequence[str]) -> tuple[Drill, ...]:
    if not names:
        raise UsageError("expected drills or scenarios by name, got none; choose some")
    chosen = catalogue.find(names)
    possible = [one for one in chosen if not one.impossible()]
    if not possible:
        raise UsageError(f"expected a drill that can be held here, got {chosen[0].name}: {chosen[0].impossible()}")
    return chosen


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, so that it clears away what it has started, and see to it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with anyio.move_on_after(_GRACE_SECONDS):
            await process.communicate()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _written(session: DrillSession) -> dict[str, Any]:
    return {
        "id": session.id,
        "drills": list(session.drills),
        "game_day": session.game_day,
        "actor": session.actor,
        "started_at": session.started_at.isoformat(),
        "current": session.current,
        "left_out": dict(session.left_out or {}),
    }


def _read(data: Mapping[str, Any]) -> DrillSession:
    values = {**data, "drills": tuple(data["drills"]), "started_at": datetime.fromisoformat(data["started_at"])}
    return DrillSession(**values)

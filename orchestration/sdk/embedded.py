"""A project in this process: the application of the console command, on the same folder."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import anyio.to_thread

from orchestration.domain.run_spec import RunSpec
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError
from orchestration.sdk.backend import Question

if TYPE_CHECKING:
    from orchestration.app.application import Application
    from orchestration.client import EventRecord, IncidentRecord, RunRecord
    from orchestration.clock import Clock
    from orchestration.runs.commands.base import RunCommand
    from orchestration.storage.incidents.table import IncidentRow
    from orchestration.storage.runs import Run

T = TypeVar("T")

ORIGIN = "python"
_ACTOR = "python"
_EVENTS_AT_ONCE = 1000
_LISTED = 50
# What a run is stopped for when the program that works on it ends; the same call continues it.
_ENDED = "the program that worked on it has ended"


class EmbeddedBackend:
    """Runs the application in a task of its own, so that it may be opened and closed in different tasks."""

    poll_seconds: ClassVar[float] = 0.2
    _open: ClassVar[EmbeddedBackend | None] = None

    def __init__(self, config_file: Path, clock: Clock | None = None) -> None:
        self.config_file = config_file
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._app: Application | None = None
        self._started: set[str] = set()
        self._ending = asyncio.Event()

    async def open(self) -> None:
        """Start the application. Raises ConflictError while another one is running in this process."""
        if EmbeddedBackend._open is not None:
            raise ConflictError(
                f"The project of {EmbeddedBackend._open.config_file} is open in this process, and there can be only "
                "one at a time. Close it first, or use the other in a process of its own."
            )
        EmbeddedBackend._open = self
        ready: asyncio.Future[Application] = asyncio.get_running_loop().create_future()
        self._ending = asyncio.Event()
        self._task = asyncio.create_task(self._serve(ready))
        try:
            # The task ends early only with an error, which closing raises.
            self._task.add_done_callback(lambda _: ready.cancel())
            self._app = await ready
        except BaseException:
            await self.close()  # raises what kept it from starting
            raise

    async def close(self) -> None:
        """Stop the application."""
        task, self._task, self._app = self._task, None, None
        self._ending.set()
        try:
            if task is not None:
                await task
        finally:
            EmbeddedBackend._open = None

    async def _serve(self, ready: asyncio.Future[Application]) -> None:
        from orchestration.app.application import application

        async with application(str(self.config_file), clock=self._clock) as app:
            ready.set_result(app)
            try:
                await self._ending.wait()
            finally:
                await self._stop_own(app)

    async def _stop_own(self, app: Application) -> None:
        for run_id in self._started:
            with contextlib.suppress(OrchestratorError):
                run = await app.get_run(run_id)
                if not run.status.ended and not await app.placement.is_elsewhere(run_id):
                    await app.launcher.stop([run_id], _ENDED)

    @property
    def app(self) -> Application:
        """The running application. Raises the error for which it has ended."""
        if self._task is not None and self._task.done():
            self._task.result()
        if self._app is None:
            raise ConflictError("The project is closed. Use it inside `async with Project(…) as project:`.")
        return self._app

    async def start(self, spec: RunSpec, key: str | None) -> RunRecord:
        run = await self._known(spec, key)
        if run is not None:
            await self._continue(run)
        else:
            run = await self.app.launcher.start(
                spec.goal,
                spec.workspace,
                origin=ORIGIN,
                run_id=None if key is None else id_of(key),
                **spec.arguments(),
            )
            self._started.add(run.id)
        return await self.run(run.id)

    async def _known(self, spec: RunSpec, key: str | None) -> Run | None:
        """The run that is meant: that of the key; without one, a run of the same spec that has lost its process and
        that nobody else goes on with."""
        if key is not None:
            with contextlib.suppress(NotFoundError):
                return await self.app.get_run(id_of(key))
            return None
        for run in await self.app.control.unfinished():
            if _is_about(run, spec) and await self._is_left(run):
                return run
        return None

    async def _continue(self, run: Run) -> None:
        if await self._is_left(run):
            with contextlib.suppress(ConflictError):  # another process was faster
                await self.app.launcher.resume(run.id)
                self._started.add(run.id)

    async def run(self, run: str) -> RunRecord:
        return _record(await _in_thread(self.app.find_run, run))

    async def runs(self, status: Sequence[str]) -> Sequence[RunRecord]:
        from orchestration.domain.run_status import RunStatus

        found = await _in_thread(self.app.runs.list, [RunStatus(one) for one in status], _LISTED)
        return [_record(run) for run in found]

    async def carry_on(self, run: str) -> None:
        from orchestration.domain.run_status import RunStatus

        found = await self.app.get_run(run)
        # What was stopped here, for want of a provider, goes on when somebody asks for it.
        if found.status is not RunStatus.STOPPED or run not in self._started:
            await self._continue(found)

    async def _is_left(self, run: Run) -> bool:
        """Whether a run could go on, and nobody is there to do so. What a person or a response has stopped stays so."""
        from orchestration.domain.run_hold import RunHold

        passing = (None, RunHold.INTERRUPTED, RunHold.WORKER_STOPPED, RunHold.NO_PROVIDER)
        if run.status.ended or run.hold not in passing:
            return False
        return not await self.app.placement.is_attended(run.id)

    async def give_up(self, run: str) -> None:
        if not await self.app.placement.is_elsewhere(run):
            await self.app.launcher.stop([run])

    async def events(self, run: str, after: int) -> Sequence[EventRecord]:
        from orchestration.client import EventRecord

        found = await _in_thread(partial(self.app.timeline.list, run, after=after, limit=_EVENTS_AT_ONCE))
        return [
            EventRecord(number, event.kind, event.at, event.run_id, event.agent, event.actor, event.data)
            for number, event in found
        ]

    async def documents(self, run: str) -> Mapping[str, str]:
        return await _in_thread(self._read_documents, run)

    def _read_documents(self, run: str) -> dict[str, str]:
        paths = {record.name: self.app.artifacts.path(run, record.name) for record in self.app.artifacts.list(run)}
        return {name: path.read_text(encoding="utf-8", errors="replace") for name, path in paths.items()}

    async def execute(self, run: str, command: RunCommand) -> RunRecord:
        changed = await self.app.run_service.execute(run, command, by=_ACTOR)
        self._started.add(changed.id)
        return _record(changed)

    async def questions(self, subject: str | None) -> Sequence[Question]:
        found = await _in_thread(self.app.approvals.list_open, subject)
        return [Question(one.id, one.subject, one.question) for one in found]

    async def answer(self, question: str, *, approved: bool, reason: str) -> None:
        asked = await _in_thread(self.app.approvals.get, question)
        await _in_thread(partial(self.app.answer, asked, approved=approved, by=_ACTOR, reason=reason))

    async def incidents(self) -> Sequence[IncidentRecord]:
        rows = await _in_thread(partial(self.app.incident_service.records.table.list, limit=_LISTED))
        return [_incident(row) for row in rows]


def id_of(key: str) -> str:
    """The identifier of the run with a key; the same for the same key. Pure."""
    return f"run-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def _is_about(run: Run, spec: RunSpec) -> bool:
    same = (run.origin, run.goal, run.agent) == (ORIGIN, spec.goal, spec.agent)
    return same and Path(run.workspace) == Path(os.path.realpath(spec.workspace))


def _record(run: Run) -> RunRecord:
    from orchestration.client import RunRecord

    return RunRecord(
        run.id,
        run.goal,
        run.status.value,
        run.reason,
        run.workspace,
        run.priority,
        run.origin,
        run.created_at,
        agent=run.agent,
        provider=run.provider,
        started_at=run.started_at,
        finished_at=run.finished_at,
        outcome=run.outcome,
        hold=run.hold.value if run.hold else None,
    )


def _incident(row: IncidentRow) -> IncidentRecord:
    from orchestration.client import IncidentRecord

    return IncidentRecord(
        row.id,
        row.scenario,
        row.severity,
        row.status,
        row.drill,
        row.title,
        row.acknowledged_by or "",
        row.detected_at,
        assignee=row.assignee,
        resolved_at=row.resolved_at,
    )


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    return await anyio.to_thread.run_sync(partial(function, *arguments))

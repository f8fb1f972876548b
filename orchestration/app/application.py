"""A project with everything that runs agents."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.app.live_credentials import LiveCredentials, with_rehearsal
from orchestration.app.project import Project
from orchestration.app.project_database import check_database
from orchestration.config.schema import Configuration, ProviderKind
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError, UsageError
from orchestration.ids import new_id
from orchestration.storage.route_states import RouteStates
from orchestration.storage.runs import Run
from orchestration.storage.spend import Spend
from orchestration.workflows.processes import live_processes

_RECOVERY_SECONDS = 5.0


class Application(Project):
    """A project with everything that runs agents. Use `application` to build one."""

    def __init__(self, config_file: Path, *, shared: bool = False) -> None:
        super().__init__(config_file)
        from orchestration.agents.isolation_policy import wall_for
        from orchestration.agents.loop import AgentLoop
        from orchestration.agents.model_calls import ModelCalls
        from orchestration.agents.run_workspace import RunWorkspace
        from orchestration.agents.tool_calls import ToolCalls
        from orchestration.app.schedules import SCHEDULED, RunSchedules
        from orchestration.providers.budget import Budgets
        from orchestration.providers.gateway import Gateway
        from orchestration.security.redaction_events import ReportingRedactor
        from orchestration.workflows import execution
        from orchestration.workflows.approvals import Approvals
        from orchestration.workflows.coordinator import RUN, Coordinator
        from orchestration.workflows.engine import Engine
        from orchestration.workflows.execution import AGENT, EXECUTION
        from orchestration.workflows.run_control import RunControl
        from orchestration.workflows.suspension import RunSuspension

        self._rehearsal_url: str | None = None
        # Stopped after all else, so that no call fails on the way out.
        self._rehearsals = contextlib.AsyncExitStack()
        self._stopped: dict[str, str] = {}
        self._group: anyio.abc.TaskGroup | None = None
        check_database(self.engine_url)
        self.engine = Engine(self.engine_url, self.leases, shared=shared)
        budgets = Budgets(Spend(self.database), self.effective)
        self.gateway = Gateway(
            self.effective,
            LiveCredentials(self.store),
            self.bus,
            self.clock,
            budgets,
            RouteStates(self.database),
            redact=self.redactor.text,
        )
        redactor = ReportingRedactor(self.redactor, self.bus, self.clock)
        workbench = RunWorkspace(
            self.state_folder,
            self.artifacts,
            self.bus,
            self.clock,
            redactor,
            lambda workspace: wall_for(self.effective(), self.root, workspace),
        )
        self.control = RunControl(
            self.runs, self.engine, self.bus, self.clock, self.state_folder / "forks", workbench.export
        )
        approvals = Approvals(self.approvals, self.runs, self.bus, self.clock)
        waiting = RunSuspension(self.runs, self.bus)
        loop = AgentLoop(
            self.runs,
            ModelCalls(self.gateway, waiting, self.bus, self.clock, redactor),
            ToolCalls(self.effective, self.bus, self.clock, redactor, self.root),
            self.bus,
            self.effective,
            self.store.look,
            self.recorded,
            self.root,
        )
        coordinator = Coordinator(self.runs, workbench, approvals, self.bus, self.clock, self.effective, self.recorded)
        self.engine.register(RUN, coordinator.body)
        self.engine.register(EXECUTION, execution.body)
        self.engine.register(AGENT, loop.body)
        self.calendar = RunSchedules(self)
        self.engine.register(SCHEDULED, self.calendar.body)

    def effective(self) -> Configuration:
        """The configuration in force, with the address of the embedded rehearsal provider filled in."""
        return with_rehearsal(self.store.current, self._rehearsal_url)

    async def new_run(self, goal: str, workspace: Path, *, queue: bool | None = None, **values: Any) -> Run:
        """Record a run and begin it; the rest as for `checked_run`.

        `queue` leaves it to the workers; unless it is said, that is done if there are any. Raises UsageError for what
        cannot be done.
        """
        if queue is None:
            queue = await anyio.to_thread.run_sync(self.has_workers)
        run = await self.checked_run(goal, workspace, here=not queue, **values)
        await self.control.start(run, queue=queue)
        return run

    async def checked_run(
        self,
        goal: str,
        workspace: Path,
        *,
        agent: str | None = None,
        provider: str | None = None,
        priority: str = "normal",
        options: dict[str, Any] | None = None,
        origin: str = "",
        here: bool = True,
    ) -> Run:
        """The run that is asked for, not recorded yet; `here` says that this process will carry it out. Raises
        UsageError for what cannot be done, and for everything while the system is isolated."""
        from orchestration.agents.workspace import checked_root

        self._check_isolation()
        self._check_agents([agent] if agent else [], (options or {}).get("approve", []))
        await self._prepare_provider(provider, here=here)
        now = self.clock.now()
        return Run(
            id=new_id("run", now.timestamp()),
            goal=self.redactor.text(goal),
            workspace=str(checked_root(workspace, self.state_folder)),
            created_at=now,
            agent=agent,
            provider=provider,
            priority=priority,
            origin=origin,
            options=options or {},
            config_version=self.store.number,
        )

    def has_workers(self) -> bool:
        """Whether a live process takes whatever run waits."""
        return any(process.shared for process in live_processes(self.leases))

    async def is_elsewhere(self, run_id: str) -> bool:
        """Whether another live process carries a run out, or a worker is there to take it."""
        carriers = await self._carriers(run_id)
        return bool(carriers) and self.engine.executor_id not in carriers

    async def is_attended(self, run_id: str) -> bool:
        """Whether any live process carries a run out, this one too, or a worker is there to take it."""
        return bool(await self._carriers(run_id))

    async def _carriers(self, run_id: str) -> frozenset[str]:
        """The live processes that carry a run out, or could take what waits of it."""
        from orchestration.workflows.engine import FlowState

        going = (FlowState.RUNNING, FlowState.QUEUED)
        tree = await self.engine.tree(run_id)
        carriers = frozenset(flow.executor for flow in tree if flow.executor and flow.state in going)
        if carriers or not any(flow.state in (FlowState.QUEUED, FlowState.INTERRUPTED) for flow in tree):
            return carriers
        processes = await anyio.to_thread.run_sync(live_processes, self.leases)
        return frozenset(process.executor for process in processes if process.shared)

    async def take_over(self, runs: Sequence[Run]) -> None:
        """Go on with those of the runs that no live process works on."""
        for run in runs:
            with contextlib.suppress(ConflictError):
                await self.resume(run.id)

    async def resume(self, run_id: str, *, queue: bool | None = False) -> Run:
        """Go on with a run; with `queue` in any worker, with None there if there are any. Raises ConflictError when it
        has succeeded or is being worked on."""
        if queue or (queue is None and await anyio.to_thread.run_sync(self.has_workers)):
            return await self.control.resume(run_id, shared=True)
        run = await self.get_run(run_id)
        self._stopped.pop(run_id, None)
        await self._prepare_provider(run.provider)
        return await self.control.resume(run_id)

    async def stop_runs(self, run_ids: Iterable[str], because: str | None = None) -> None:
        """Mark runs as stopped, to be resumed later: because of what is given, else for the reason for which they
        wait."""
        for run_id in run_ids:
            reason = because or (await self.get_run(run_id)).reason
            self._stopped[run_id] = reason
            if await anyio.to_thread.run_sync(self.runs.set_status, run_id, RunStatus.STOPPED, reason):
                self.bus.emit("run.stopped", run_id=run_id, reason=reason)

    async def answering_provider(self) -> str | None:
        """The first real provider of the fallback chain that answers a probe; None when none does."""
        runtime = self.store.current.runtime
        for name in (runtime.default_provider, *runtime.fallback_providers):
            settings = runtime.providers.get(name)
            if settings is None or not settings.enabled or settings.type is ProviderKind.REHEARSAL:
                continue
            if (await self.gateway.probe(name)).ok:
                return name
        return None

    async def fork(self, run_id: str, number: int | None = None, *, queue: bool | None = False) -> Run:
        """Begin a new run that shares everything before a part of this one; `queue` as for `resume`. Raises UsageError
        for no such part, and while the system is isolated."""
        self._check_isolation()
        if queue or (queue is None and await anyio.to_thread.run_sync(self.has_workers)):
            return await self.control.fork(run_id, number, shared=True)
        await self._prepare_provider((await self.get_run(run_id)).provider)
        return await self.control.fork(run_id, number)

    async def begin(self, work: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
        """Have something done beside all else for as long as this runs; returns what it tells `task_status.started`,
        raises what it raises before. After that it must raise nothing. Raises ConflictError while nothing runs."""
        if self._group is None:
            raise ConflictError("expected an application that runs, got one that does not yet; try again in a moment")
        return await self._group.start(work, *arguments)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything; on leaving, stop at once and leave unfinished runs resumable."""
        async with (
            self._rehearsals,
            self._noting_stopped(),
            self.gateway.running(),
            self.engine.running(),
            # Innermost: once it is cancelled, nothing may be awaited in it any more, or an error from the block is
            # lost behind the cancellation.
            anyio.create_task_group() as group,
        ):
            self._group = group

            def reconfigure(_: Configuration) -> None:
                group.start_soon(self.gateway.reconfigure)

            self.store.subscribe(reconfigure)
            group.start_soon(self.store.watch)
            group.start_soon(self._keep_settling)
            try:
                yield
            finally:
                group.cancel_scope.cancel()

    @contextlib.asynccontextmanager
    async def _noting_stopped(self) -> AsyncIterator[None]:
        """Say once more which runs were stopped: until the engine is, they may still have said otherwise."""
        try:
            yield
        finally:
            for run_id, reason in self._stopped.items():
                self.runs.set_status(run_id, RunStatus.STOPPED, reason)

    async def keep_recovering(self, wanted: Callable[[str], bool]) -> None:
        """Take over whatever other processes leave behind, of the flows that are wanted here, until cancelled."""
        while True:
            with contextlib.suppress(SQLAlchemyError):  # it is tried again when the database may be back
                if taken := await self.engine.recover_all(wanted):
                    self.bus.emit("runs.recovered", count=taken)
            await self.clock.sleep(_RECOVERY_SECONDS)

    async def _keep_settling(self) -> None:
        """Leave no run without an end whose flow has one."""
        while True:
            with contextlib.suppress(SQLAlchemyError):
                await self.control.settle()
            await self.clock.sleep(_RECOVERY_SECONDS)

    def _check_isolation(self) -> None:
        if self.store.current.runtime.isolated:
            raise UsageError(
                "the system is isolated and takes no new runs, as `orchestrator config overrides list` shows; a person "
                "lifts that with `orchestrator config overrides remove ID` (or `runtime.isolated` in the file)"
            )

    def _check_agents(self, names: Sequence[str], approve: Sequence[str]) -> None:
        known = [agent.id for agent in self.configuration.agents]
        for name in (*names, *approve):
            if name not in known:
                raise NotFoundError(f"expected an agent of the configuration ({', '.join(known)}), got '{name}'")
        if not known:
            raise UsageError(
                "expected at least one agent in the configuration, got none; add a planner and an executor"
            )

    async def prepare_rehearsal(self) -> None:
        """Be ready for any run that asks for a rehearsal provider by name, as a worker has to be."""
        providers = self.configuration.runtime.providers.values()
        if any(settings.enabled and settings.type is ProviderKind.REHEARSAL for settings in providers):
            await self._start_rehearsal(None)

    async def _prepare_provider(self, name: str | None, *, here: bool = True) -> None:
        """See that the provider that a run asks for can be used; start the rehearsal provider if it is that one, and
        the run is carried out here."""
        runtime = self.configuration.runtime
        chosen = name or runtime.default_provider
        settings = runtime.providers.get(chosen)
        if settings is None:
            known = ", ".join(runtime.providers) or "none"
            raise NotFoundError(f"expected a provider of the configuration ({known}), got '{chosen}'; correct the name")
        if not settings.enabled:
            raise UsageError(f"expected a provider in use, got '{chosen}', which is disabled; set its `enabled`")
        if here and settings.type is ProviderKind.REHEARSAL:
            await self._start_rehearsal(settings.base_url)
        if here and self._group is not None:
            names = {chosen, runtime.default_provider, *runtime.fallback_providers}
            self._group.start_soon(self.gateway.look_anew, names & set(runtime.providers))
        key = settings.effective_api_key_env
        if key is not None and self.store.credentials.get(key) is None:
            raise UsageError(f"expected credentials for '{chosen}', got none; put {key}=… into {self.root / '.env'}")

    async def _start_rehearsal(self, base_url: str | None) -> None:
        if base_url is not None or self._rehearsal_url is not None:
            return
        from orchestration.rehearsal import RehearsalServer

        server = await self._rehearsals.enter_async_context(RehearsalServer())
        self._rehearsal_url = f"{server.url}/v1"
        await self.gateway.reconfigure()


@contextlib.asynccontextmanager
async def application(config_file: str, *, shared: bool = False) -> AsyncIterator[Application]:
    """Build and start an application; `shared` for one that takes whatever run waits, and that is started again and
    again: it goes on with the last good configuration where the file is broken.

    What goes wrong inside is raised as it is, not as a group of one.
    """
    app = Application(Path(config_file), shared=shared)
    with app.opened(or_last_good=shared):
        try:
            async with app.running():
                yield app
        except BaseExceptionGroup as group:
            raise _only_one(group) from group


def _only_one(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What the group is about: its first error that is for users, else its only member, else the group itself."""
    own, _ = group.split(OrchestratorError)
    found: BaseException = own or group
    while isinstance(found, BaseExceptionGroup) and (own is not None or len(found.exceptions) == 1):
        found = found.exceptions[0]
    return found

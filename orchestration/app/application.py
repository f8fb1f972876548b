"""A project with everything that runs agents."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from orchestration.app.project import Project
from orchestration.config.schema import Configuration, ProviderKind
from orchestration.config.store import ConfigurationStore
from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.ids import new_id
from orchestration.storage.leases import Leases
from orchestration.storage.routes import RouteStates
from orchestration.storage.runs import Run, RunStatus
from orchestration.storage.spend import Spend
from orchestration.workflows.approvals import Approvals

_RECOVERY_SECONDS = 5.0


class Application(Project):
    """A project with everything that runs agents. Use `application` to build one."""

    def __init__(self, config_file: Path, *, shared: bool = False) -> None:
        super().__init__(config_file)
        from orchestration.agents.loop import AgentLoop
        from orchestration.agents.model_calls import ModelCalls
        from orchestration.agents.tool_calls import ToolCalls
        from orchestration.agents.workbench import Workbench
        from orchestration.providers.budget import Budgets
        from orchestration.providers.gateway import Gateway
        from orchestration.workflows import execution
        from orchestration.workflows.control import RunControl
        from orchestration.workflows.coordinator import RUN, Coordinator
        from orchestration.workflows.engine import Engine
        from orchestration.workflows.execution import AGENT, EXECUTION
        from orchestration.workflows.waiting import Waiting

        self._rehearsal_url: str | None = None
        self._stack = contextlib.AsyncExitStack()
        self.engine = Engine(self.engine_url, Leases(self.database), shared=shared)
        budgets = Budgets(Spend(self.database), self.effective)
        self.gateway = Gateway(
            self.effective, _Credentials(self.store), self.bus, self.clock, budgets, RouteStates(self.database)
        )
        workbench = Workbench(self.state_folder, self.artifacts, self.bus, self.redactor.text)
        self.control = RunControl(
            self.runs, self.engine, self.bus, self.clock, self.state_folder / "forks", workbench.export
        )
        self.waits = Approvals(self.approvals, self.runs, self.bus, self.clock)
        waiting = Waiting(self.runs, self.bus)
        loop = AgentLoop(
            self.runs,
            ModelCalls(self.gateway, waiting, self.bus, self.clock, self.redactor.data),
            ToolCalls(self.effective, self.bus, self.clock, self.redactor.text, self.root),
            self.bus,
            self.effective,
        )
        coordinator = Coordinator(self.runs, workbench, self.waits, self.bus, self.clock, self.effective)
        self.engine.register(RUN, coordinator.body)
        self.engine.register(EXECUTION, execution.body)
        self.engine.register(AGENT, loop.body)

    def effective(self) -> Configuration:
        """The configuration in force, with the address of the embedded rehearsal provider filled in."""
        configuration = self.store.current
        if self._rehearsal_url is None:
            return configuration
        providers = {
            name: settings.model_copy(update={"base_url": self._rehearsal_url})
            if settings.type is ProviderKind.REHEARSAL and settings.base_url is None
            else settings
            for name, settings in configuration.runtime.providers.items()
        }
        runtime = configuration.runtime.model_copy(update={"providers": providers})
        return configuration.model_copy(update={"runtime": runtime})

    async def new_run(
        self,
        goal: str,
        workspace: Path,
        *,
        agent: str | None = None,
        provider: str | None = None,
        priority: str = "normal",
        options: dict[str, Any] | None = None,
        queue: bool = False,
        origin: str = "",
    ) -> Run:
        """Check what is asked for, record a run and begin it. Raises UsageError for what cannot be done."""
        from orchestration.agents.workspace import checked_root

        self._check_agents([agent] if agent else [], (options or {}).get("approve", []))
        await self._prepare_provider(provider)
        now = self.clock.now()
        run = Run(
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
        await self.control.start(run, queue=queue)
        return run

    async def take_over(self, runs: Sequence[Run]) -> None:
        """Go on with those of the runs that no live process works on."""
        for run in runs:
            with contextlib.suppress(ConflictError):
                await self.resume(run.id)

    async def resume(self, run_id: str) -> Run:
        """Go on with a run. Raises ConflictError when it has succeeded or is being worked on."""
        run = await self.get_run(run_id)
        await self._prepare_provider(run.provider)
        return await self.control.resume(run_id)

    async def stop_runs(self, runs: Sequence[Run]) -> None:
        """Mark runs as stopped, to be resumed later, with the reason for which they wait."""
        for run in runs:
            reason = (await self.get_run(run.id)).reason
            await anyio.to_thread.run_sync(self.runs.set_status, run.id, RunStatus.STOPPED, reason)
            self.bus.emit("run.stopped", run_id=run.id, reason=reason)

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

    async def fork(self, run_id: str, number: int | None = None) -> Run:
        """Begin a new run that shares everything before a part of this one. Raises UsageError for no such part."""
        await self._prepare_provider((await self.get_run(run_id)).provider)
        return await self.control.fork(run_id, number)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything; on leaving, stop at once and leave unfinished runs resumable."""
        async with self._stack:
            group = await self._stack.enter_async_context(anyio.create_task_group())
            await self._stack.enter_async_context(self.gateway.running())
            await self._stack.enter_async_context(self.engine.running())

            def reconfigure(_: Configuration) -> None:
                group.start_soon(self.gateway.reconfigure)

            self.store.subscribe(reconfigure)
            group.start_soon(self.store.watch)
            try:
                yield
            finally:
                group.cancel_scope.cancel()

    async def keep_recovering(self) -> None:
        """Take over whatever other processes leave behind, until cancelled."""
        while True:
            if taken := await self.engine.recover_all():
                self.bus.emit("runs.recovered", count=taken)
            await self.clock.sleep(_RECOVERY_SECONDS)

    def _check_agents(self, names: Sequence[str], approve: Sequence[str]) -> None:
        known = [agent.id for agent in self.configuration.agents]
        for name in (*names, *approve):
            if name not in known:
                raise NotFoundError(f"expected an agent of the configuration ({', '.join(known)}), got '{name}'")
        if not known:
            raise UsageError(
                "expected at least one agent in the configuration, got none; add a planner and an executor"
            )

    async def _prepare_provider(self, name: str | None) -> None:
        """See that the provider that a run asks for can be used, and start the rehearsal provider if it is that one."""
        runtime = self.configuration.runtime
        chosen = name or runtime.default_provider
        settings = runtime.providers.get(chosen)
        if settings is None:
            known = ", ".join(runtime.providers) or "none"
            raise NotFoundError(f"expected a provider of the configuration ({known}), got '{chosen}'; correct the name")
        if not settings.enabled:
            raise UsageError(f"expected a provider in use, got '{chosen}', which is disabled; set its `enabled`")
        if settings.type is ProviderKind.REHEARSAL:
            await self._start_rehearsal(settings.base_url)
        key = settings.effective_api_key_env
        if key is not None and self.store.credentials.get(key) is None:
            raise UsageError(f"expected credentials for '{chosen}', got none; put {key}=… into {self.root / '.env'}")

    async def _start_rehearsal(self, base_url: str | None) -> None:
        if base_url is not None or self._rehearsal_url is not None:
            return
        from orchestration.drills.rehearsal import RehearsalServer

        server = await self._stack.enter_async_context(RehearsalServer())
        self._rehearsal_url = f"{server.url}/v1"
        await self.gateway.reconfigure()


@contextlib.asynccontextmanager
async def application(config_file: str, *, shared: bool = False) -> AsyncIterator[Application]:
    """Build and start an application; `shared` for one that takes whatever run waits."""
    app = Application(Path(config_file), shared=shared)
    with app.opened(or_last_good=False):
        async with app.running():
            yield app


class _Credentials:
    """The credentials as they are at each moment."""

    def __init__(self, store: ConfigurationStore) -> None:
        self._store = store

    def get(self, name: str) -> str | None:
        return self._store.credentials.get(name)

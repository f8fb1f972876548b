"""Launching runs: new ones, unfinished ones once more, and forks; and stopping those of this process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread

from orchestration.agents.tools.registry import may_write
from orchestration.agents.workspace import checked_root
from orchestration.agents.worktrees import Worktrees
from orchestration.clock import Clock
from orchestration.config.isolation import require_not_isolated
from orchestration.config.store import ConfigurationStore
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.events import EventBus
from orchestration.events.runs import RunStopped
from orchestration.ids import new_id
from orchestration.runs.placement import RunPlacement
from orchestration.runs.provider_readiness import ProviderReadiness
from orchestration.security.redaction import Redactor
from orchestration.storage.runs import IN_PLACE, WORKTREE, PlaceTakenError, Run, Runs
from orchestration.workflows.run_control import RunControl

T = TypeVar("T")

# Between recording a run and beginning it.
_BEGINNING_SECONDS = 10.0


class RunLauncher:
    """Launches runs in this process or leaves them to the workers.

    A `queue` argument chooses between the two: True for the workers, False for this process, and None for the workers
    if there are any.
    """

    def __init__(
        self,
        control: RunControl,
        worktrees: Worktrees,
        placement: RunPlacement,
        providers: ProviderReadiness,
        runs: Runs,
        store: ConfigurationStore,
        redactor: Redactor,
        state_folder: Path,
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self.providers = providers
        self._control = control
        self._worktrees = worktrees
        self._placement = placement
        self._runs = runs
        self._store = store
        self._redactor = redactor
        self._state_folder = state_folder
        self._bus = bus
        self._clock = clock
        self._stopped: dict[str, tuple[str, RunHold | None]] = {}

    async def start(self, goal: str, workspace: Path, *, queue: bool | None = None, **values: Any) -> Run:
        """Record a run and start it; `values` as for `prepare`. Raises UsageError if it cannot be started, and
        PlaceTakenError if another run works in its folder."""
        queue = await self._goes_to_workers(queue)
        run = await self.prepare(goal, workspace, here=not queue, **values)
        await self._making_room(partial(self._control.start, run, queue=queue))
        return run

    async def prepare(
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
        in_place: bool | None = None,
        run_id: str | None = None,
    ) -> Run:
        """A new run, checked but not recorded yet; `here` if this process will work on it. In a git repository it gets
        a worktree, unless it is to work `in_place`; None for what the configuration says. Raises UsageError if it
        cannot be started, and IsolatedError while the system is isolated."""
        require_not_isolated(self._store, "start a run")
        self._check_agents([agent] if agent else [], (options or {}).get("approve", []))
        self._check_model(provider, (options or {}).get("model"))
        # Before anything is recorded, so that a run without a usable provider is refused and not started to fail.
        await self.providers.prepare(provider, here=here)
        now = self._clock.now()
        run_id = run_id or new_id("run", now.timestamp())
        root = checked_root(workspace, self._state_folder)
        return Run(
            id=run_id,
            # The goal is stored, shown and sent to providers; a key that was pasted into it must not be.
            goal=self._redactor.text(goal),
            workspace=str(root),
            created_at=now,
            agent=agent,
            provider=provider,
            priority=priority,
            origin=origin,
            options={**(options or {}), **await self._place(run_id, root, agent, in_place)},
            config_version=self._store.number,
        )

    async def _place(self, run_id: str, root: Path, agent: str | None, in_place: bool | None) -> dict[str, Any]:
        """The options that say where a run works. One that only reads needs no place of its own."""
        configuration = self._store.current
        taking_part = [one for one in configuration.agents if agent in (None, one.id)]
        if not any(may_write(one, configuration.tools) for one in taking_part):
            return {}
        if configuration.runtime.workspace == "in-place" if in_place is None else in_place:
            return {IN_PLACE: True}
        repository = await self._worktrees.locate(root)
        return {} if repository is None else {WORKTREE: str(self._worktrees.place(run_id, root, repository))}

    async def _making_room(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Let a run begin. Another one in its folder whose process has died, and that nobody goes on with, is stopped;
        it can be resumed later. Raises PlaceTakenError."""
        while True:
            try:
                return await begin()
            except PlaceTakenError as error:
                if not await self._is_left_behind(error.holder):
                    raise
                reason = f"its process has died, and another run works in {error.holder.workspace} now"
                with contextlib.suppress(ConflictError):  # it has ended meanwhile
                    await self._control.pause(error.holder.id, reason, hold=RunHold.INTERRUPTED)

    async def _is_left_behind(self, run: Run) -> bool:
        """Whether no live process works on a run, or could. One that was recorded a moment ago is just being begun."""
        age = (self._clock.now() - run.created_at).total_seconds()
        begun = run.started_at is not None or age > _BEGINNING_SECONDS
        return begun and not await self._placement.is_attended(run.id)

    async def get(self, run_id: str) -> Run:
        """The run as it is now."""
        return await anyio.to_thread.run_sync(self._runs.get, run_id)

    async def _check_place(self, run: Run) -> None:
        """Raise ConflictError if a run cannot go on where it was."""
        begun, _ = await self._control.snapshots(run.id) if run.has_worktree else (None, None)
        if begun and await anyio.to_thread.run_sync(self._worktrees.record, run.id) is None:
            raise ConflictError(
                f"the worktree of {run.id} was removed, so it cannot go on; fork it, or start a new run"
            )

    async def resume(
        self, run_id: str, *, queue: bool | None = False, rounds: int | None = None, keep_base: bool = False
    ) -> Run:
        """Continue a run, with so many more rounds of corrections; with `keep_base`, without what was committed to its
        workspace since. Raises ConflictError if it has succeeded, a live process works on it, its worktree cannot be
        brought up to date, or the system is isolated, and UsageError if it cannot use more rounds."""
        require_not_isolated(self._store, "resume a run")
        await self._check_place(await self.get(run_id))
        resume = partial(self._control.resume, run_id, rounds=rounds, keep_base=keep_base)
        if await self._goes_to_workers(queue):
            return await self._making_room(partial(resume, shared=True))
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        # Otherwise it would be marked as stopped once more when this process ends.
        self._stopped.pop(run_id, None)
        await self.providers.prepare(run.provider)
        return await self._making_room(resume)

    async def resume_abandoned(self, runs: Sequence[Run]) -> None:
        """Continue those of the runs that no live process works on."""
        for run in runs:
            with contextlib.suppress(ConflictError):
                # Refused where a live process works on the run, which is not a mistake here.
                await self.resume(run.id)

    async def fork(self, run_id: str, number: int | None = None, *, queue: bool | None = False) -> Run:
        """Start a new run that shares everything before one part of this run. Raises UsageError if there is no such
        part, and while the system is isolated."""
        require_not_isolated(self._store, "fork a run")
        if await self._goes_to_workers(queue):
            return await self._control.fork(run_id, number, shared=True)
        await self.providers.prepare((await anyio.to_thread.run_sync(self._runs.get, run_id)).provider)
        return await self._control.fork(run_id, number)

    async def stop(
        self, run_ids: Iterable[str], because: str | None = None, hold: RunHold = RunHold.INTERRUPTED
    ) -> None:
        """Mark runs of this process as stopped, to be resumed later, for the reason given, else for the reason for
        which they wait."""
        for run_id in run_ids:
            run = await anyio.to_thread.run_sync(self._runs.get, run_id)
            # A run that waited for a provider keeps that reason, which says more than that it was stopped.
            reason, cause = (because, hold) if because else (run.reason, run.hold)
            self._stopped[run_id] = reason, cause
            if await anyio.to_thread.run_sync(partial(self._set_stopped, run_id, reason, cause)):
                self._bus.publish(RunStopped(reason=reason), run_id=run_id)

    @contextlib.asynccontextmanager
    async def restoring_stopped(self) -> AsyncIterator[None]:
        """Put an engine inside this block: a run that was stopped may still write another status until the engine has
        shut down, so the status is written again after it has."""
        try:
            yield
        finally:
            # The engine has shut down by now, so nothing can overwrite this status.
            for run_id, (reason, hold) in self._stopped.items():
                # Called directly: in a cancelled task an await would raise before the status is written.
                self._set_stopped(run_id, reason, hold)

    def _set_stopped(self, run_id: str, reason: str, hold: RunHold | None) -> bool:
        return self._runs.set_status(run_id, RunStatus.STOPPED, reason, hold=hold)

    async def _goes_to_workers(self, queue: bool | None) -> bool:
        return await self._placement.has_workers() if queue is None else queue

    def _check_model(self, provider: str | None, model: str | None) -> None:
        configuration = self._store.current
        name = provider or configuration.runtime.default_provider
        known = [one.name for one in configuration.models.get(name, ())]
        # A provider without a list may have any model: only the provider itself could say.
        if model and known and model not in known:
            raise UsageError(f"The provider {name} has no model '{model[:80]}'. Configured models: {', '.join(known)}.")

    def _check_agents(self, names: Sequence[str], approve: Sequence[str]) -> None:
        known = [agent.id for agent in self._store.current.agents]
        if not known:
            raise UsageError("The configuration has no agents. Add a planner and an executor.")
        for name in (*names, *approve):
            if name not in known:
                raise NotFoundError(f"There is no agent '{name}'. Configured agents: {', '.join(known)}.")

"""A project with everything that runs agents: built here, started, and stopped in reverse."""

from __future__ import annotations

import contextlib
import importlib
import socket
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.app import game_days
from orchestration.app.model_host import ModelHost
from orchestration.app.project import BackgroundWriter
from orchestration.app.project_database import check_database
from orchestration.app.telemetry import telemetry_of
from orchestration.clock import Clock
from orchestration.config.agents import AgentRole
from orchestration.errors import OrchestratorError
from orchestration.providers.wire import GatewayCall
from orchestration.storage.runs import Run

if TYPE_CHECKING:
    from orchestration.agents.call_recorder import CallRecorder
    from orchestration.agents.loop import AgentLoop
    from orchestration.agents.mcp.source import McpTools
    from orchestration.agents.model_account import ModelAccount
    from orchestration.agents.own_code import AskModel
    from orchestration.agents.run_workspace import RunWorkspace
    from orchestration.runs.launcher import RunLauncher
    from orchestration.runs.schedules import RunSchedules
    from orchestration.security.redaction_events import ReportingRedactor
    from orchestration.workflows.attempts import Attempts
    from orchestration.workflows.coordinator import Coordinator
    from orchestration.workflows.model import AgentTask
    from orchestration.workflows.processes import WorkerProfile
    from orchestration.workflows.run_control import RunControl

_PROGRAM_ENDPOINT = "orchestration.web.gateway.program_endpoint:serve"


class Application(ModelHost):
    """A project with everything that runs agents. Use `application` to build and start one.

    The builders import what they build: the engine alone takes up to two seconds to import, which a command that only
    reads records must not pay.
    """

    def __init__(
        self,
        config_file: Path,
        *,
        shared: bool = False,
        clock: Clock | None = None,
        profile: WorkerProfile | None = None,
    ) -> None:
        super().__init__(config_file, clock)
        from orchestration.agents.tools.foreign import ForeignTools
        from orchestration.runs.changes import RunChanges
        from orchestration.runs.placement import RunPlacement
        from orchestration.runs.recovery import RunRecovery
        from orchestration.runs.service import RunService
        from orchestration.security.redaction_events import ReportingRedactor
        from orchestration.workflows.attempts import Attempts
        from orchestration.workflows.engine import Engine
        from orchestration.workflows.processes import NO_PROFILE
        from orchestration.workflows.start_gate import StartGate
        from orchestration.workflows.worker_waits import WorkerWaits

        # With SQLite the engine has a file of its own, which opening the project has not checked.
        check_database(self.engine_url)
        self.engine = Engine(self.engine_url, self.leases, shared=shared, profile=profile or NO_PROFILE)
        redactor = ReportingRedactor(self.redactor, self.bus, self.clock)
        self.recorder = self._build_recorder()
        workspace = self._build_workspace(redactor)
        self.workspaces = workspace
        self.control = self._build_control(workspace)
        self.placement = RunPlacement(self.engine, self.leases)
        self._worker_waits = WorkerWaits(self.engine, self.leases, self.bus, self.clock)
        self.launcher = self._build_launcher()
        changes = RunChanges(workspace, self.control, self.bus, self.clock)
        self.run_service = RunService(self.launcher, self.control, changes, self.runs, self.redactor)
        self.recovery = RunRecovery(self.engine, self.control, self.bus, self.clock)
        self.calendar = self._build_calendar()
        attempts = Attempts(self.runs, self.effective, self.store.refresh_in_thread, workspace.baseline)
        self.foreign_tools = ForeignTools(self.effective, self._build_foreign_tools)
        self._gate = StartGate(self.runs, self.clock, self.effective, self.store.refresh_in_thread)
        self._register_flows(self._build_coordinator(workspace, attempts), self._build_agent_loop(redactor), attempts)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything; on leaving, stop at once and leave unfinished runs resumable."""
        with telemetry_of(self, self.engine.executor_id) as telemetry:
            async with contextlib.AsyncExitStack() as stack:
                # Outermost, so that it sees the end of everything.
                if telemetry is not None:
                    await stack.enter_async_context(telemetry.running())
                await stack.enter_async_context(self._working())
                yield

    @contextlib.asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        async with (
            self._rehearsal,  # outermost, so that no call of a stopping run fails for want of a server
            self.launcher.restoring_stopped(),
            self.recorder.running(),
            self._asking(),
            contextlib.aclosing(self.foreign_tools),
            self.engine.running(),
            self.tasks.running(),
        ):
            # Before the watching begins, so that the first edit reaches the gateway.
            self._follow_configuration()
            self.tasks.start_soon(self.recovery.settle_runs)
            self.tasks.start_soon(self._worker_waits.watch)
            yield

    def _writers(self) -> Sequence[BackgroundWriter]:
        return *super()._writers(), self.recorder

    def _build_recorder(self) -> CallRecorder:
        from orchestration.agents.call_recorder import CallRecorder

        def is_on() -> bool:
            return self.store.current.monitoring.record_calls

        return CallRecorder(self.calls.records, self.redactor.data, self.clock, is_on)

    def _build_workspace(self, redactor: ReportingRedactor) -> RunWorkspace:
        from orchestration.agents.command_environment import limits_in
        from orchestration.agents.run_workspace import RunWorkspace
        from orchestration.agents.sandbox import SandboxLimits

        return RunWorkspace(
            self.state_folder,
            self.artifacts,
            self.bus,
            self.clock,
            redactor,
            lambda folder: limits_in(SandboxLimits(), self.effective(), self.root, folder),
            self.recorder,
            (self.log_folder, self.root / ".env"),
            self._planning_window,
        )

    async def _planning_window(self, run: Run) -> int | None:
        """The smallest context of the models that plan a run, in tokens; None if none is known."""
        planners = [agent for agent in self.effective().agents if agent.effective_role is AgentRole.PLANNER]
        calls = [GatewayCall(provider=run.provider or one.provider, model=one.default_model) for one in planners]
        known = [await self.gateway.ask_for_window(call) for call in calls]
        return min((size for size in known if size is not None), default=None)

    def _build_control(self, workspace: RunWorkspace) -> RunControl:
        from orchestration.workflows.run_control import RunControl

        forks = self.state_folder / "forks"
        return RunControl(
            self.runs,
            self.engine,
            self.bus,
            self.clock,
            forks,
            workspace.export,
            lambda: self.store.number_in_force,
            workspace.update,
        )

    def _build_launcher(self) -> RunLauncher:
        from orchestration.runs.launcher import RunLauncher
        from orchestration.runs.provider_readiness import ProviderReadiness

        return RunLauncher(
            self.control,
            self.workspaces.worktrees,
            self.placement,
            ProviderReadiness(self.store, self.gateway, self._rehearsal, self.tasks.start_soon, self.root / ".env"),
            self.runs,
            self.store,
            self.redactor,
            self.state_folder,
            self.bus,
            self.clock,
        )

    def _build_calendar(self) -> RunSchedules:
        from orchestration.runs.schedules import RunSchedules

        hold_game_day = partial(game_days.hold, self.config_file, self.bus)
        return RunSchedules(self.engine, self.launcher, self.runs, self.bus, self.root, hold_game_day)

    def _build_coordinator(self, workspace: RunWorkspace, attempts: Attempts) -> Coordinator:
        from orchestration.workflows.approvals import Approvals
        from orchestration.workflows.coordinator import Coordinator

        approvals = Approvals(self.approvals, self.runs, self.bus, self.clock)
        return Coordinator(
            self.runs, workspace, approvals, attempts, self._gate, self.bus, self.clock, self.effective, self.recorded
        )

    def _build_agent_loop(self, redactor: ReportingRedactor) -> AgentLoop:
        from orchestration.agents.loop import AgentLoop
        from orchestration.agents.model_calls import ModelCalls
        from orchestration.agents.own_code import OwnCode
        from orchestration.agents.refusal_history import history_from
        from orchestration.agents.tool_calls import ToolCalls
        from orchestration.agents.tool_rounds import ToolRounds
        from orchestration.agents.tools.own import OwnTools
        from orchestration.workflows.approvals import Approvals
        from orchestration.workflows.suspension import RunSuspension

        suspension = RunSuspension(self.runs, self.bus)
        model_calls = ModelCalls(self.gateway, suspension, self.bus, self.clock, redactor, self.recorder)
        approvals = Approvals(self.approvals, self.runs, self.bus, self.clock)
        own_tools = OwnTools(self.effective, self._credential, self.clock, self.root)
        tool_calls = ToolCalls(
            self.effective,
            self.bus,
            self.clock,
            redactor,
            self.root,
            (self.state_folder, self.root / ".env", self.root / "config", self.root / "logs"),
            self.recorder,
            history_from(self.timeline),
            [own_tools, self.foreign_tools],
        )
        return AgentLoop(
            self.runs,
            model_calls,
            tool_calls,
            ToolRounds(tool_calls, approvals, self.redactor.text, self.recorded),
            OwnCode(
                self.effective,
                self.bus,
                self.clock,
                redactor,
                model_calls,
                self.root,
                self.state_folder,
                self._serve_models,
            ),
            self._gate,
            self.bus,
            self.effective,
            lambda: self.store.number_in_force,
            self.store.refresh_in_thread,
            self.recorded,
            self.root,
        )

    def _build_foreign_tools(self) -> McpTools:
        from orchestration.agents.mcp.acceptance import AcceptedTools
        from orchestration.agents.mcp.source import McpTools

        accepted = AcceptedTools(self.state_folder)
        return McpTools(self.effective, self._credential, self.bus, self.root, accepted)

    def _credential(self, name: str) -> str | None:
        """The value of a variable now: `.env` may have changed since the start."""
        return self.store.credentials.get(name)

    async def _serve_models(self, account: ModelAccount, ask: AskModel, listening: socket.socket) -> None:
        """Serve the model calls of one program, in every API that the gateway speaks."""
        # Named and not imported, as a worker names its program: what speaks HTTP is in a layer above this one.
        module, _, name = _PROGRAM_ENDPOINT.partition(":")
        await getattr(importlib.import_module(module), name)(self, account, ask, listening)

    def _register_flows(self, coordinator: Coordinator, loop: AgentLoop, attempts: Attempts) -> None:
        from orchestration.runs.schedules import SCHEDULED
        from orchestration.workflows import execution
        from orchestration.workflows.coordinator import RUN

        self.engine.register(RUN, coordinator.body)
        self.engine.register(execution.EXECUTION, execution.PlanExecution(self.runs, attempts, self.bus).body)
        self.engine.register(execution.AGENT, loop.body, self._label_of)
        self.engine.register(SCHEDULED, self.calendar.body)

    def _label_of(self, task: AgentTask) -> str | None:
        """The label of the workers that an agent runs on."""
        agent = self.effective().agent(task.agent)
        return None if agent is None else agent.runs_on


@contextlib.asynccontextmanager
async def application(
    config_file: str, *, shared: bool = False, clock: Clock | None = None, profile: WorkerProfile | None = None
) -> AsyncIterator[Application]:
    """Build and start an application; `shared` for a worker, which works on any run that waits and is restarted again
    and again: where the file is broken it continues with the last good configuration. `clock` is the machine's unless a
    test gives another, `profile` that of a worker.

    An error from inside is raised as it is, not as a group of one.
    """
    app = Application(Path(config_file), shared=shared, clock=clock, profile=profile)
    with app.opened(or_last_good=shared):
        try:
            async with app.running():
                yield app
        except BaseExceptionGroup as group:
            # Every task group raises its errors as a group (https://anyio.readthedocs.io/en/stable/tasks.html), which
            # the console would print as a traceback instead of one sentence.
            raise _only_one(group) from group


def _only_one(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a group is about: its first error meant for users, else its only member, else the group itself."""
    own, _ = group.split(OrchestratorError)
    found: BaseException = own or group
    while isinstance(found, BaseExceptionGroup) and (own is not None or len(found.exceptions) == 1):
        found = found.exceptions[0]
    return found

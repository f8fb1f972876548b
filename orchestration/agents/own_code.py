"""Agents that are the user's own code: a Python function, or any program. Each is one step.

Both run in processes of their own, with limits, and reach the models through the gateway with a key of their own. A
program runs in the same isolation as commands; a function is part of the project and sees what the project sees.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from pydantic import BaseModel

from orchestration.agents import sandbox
from orchestration.agents.command_environment import limits_in, limits_of
from orchestration.agents.frameworks.environments import FrameworkEnvironments
from orchestration.agents.model_account import ModelAccount
from orchestration.agents.model_calls import ModelCalls, Reroute
from orchestration.agents.program import (
    ADDRESS_VARIABLES,
    Program,
    ProgramOutput,
    TaskFiles,
    answer_of_text,
    gateway_variables,
)
from orchestration.agents.sandbox import CommandConnections, SandboxLimits
from orchestration.agents.usage_budget import AgentSetup
from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.work_phase import WorkPhase
from orchestration.events import EventBus
from orchestration.private_folder import make_private_folder
from orchestration.providers.attempt import ChunkCallback
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.providers.wire import ChatBody, Completion, GatewayCall
from orchestration.security.permissions import PermissionRefusedError
from orchestration.security.redaction_events import ReportingRedactor
from orchestration.security.safe_folder import SafeFolder
from orchestration.storage.runs import Run
from orchestration.workflows.heartbeat import Activity, HeartbeatEmitter
from orchestration.workflows.model import AgentTask, AgentUsage, StoredRecord

ISOLATED = "the system is isolated: nothing of an agent is started until a person lifts that"
# The answer is stored as a checkpoint and sent to the next agent.
_MOST_ANSWER_BYTES = 5_000_000
_SHOWN_CHARACTERS = 2000
AGENT_STATE = "agent-state"


class OwnCodeAnswer(StoredRecord):
    """The JSON that the user's own code has returned, how long it took, and what its model calls have used."""

    added = ("use",)

    output: Any
    seconds: float
    use: AgentUsage = AgentUsage()


AskModel = Callable[[ChatBody, GatewayCall, ChunkCallback | None], Awaitable[Completion]]
"""Asks the gateway, and waits while no provider can answer."""

ServeModels = Callable[[ModelAccount, AskModel, socket.socket], Coroutine[Any, Any, None]]
"""Serves the calls of an account on a listening socket, until cancelled."""


@dataclass(frozen=True, slots=True)
class OwnWork:
    """What an agent of one's own is to do. `call` says for whom it calls models, and by which route; `model_calls` is
    how many it may make, `seconds` how long it may take."""

    run: Run
    task: AgentTask
    agent_run_id: str
    output: type[BaseModel]
    instructions: str
    call: GatewayCall
    reroute: Reroute
    seconds: float | None
    model_calls: int | None


class OwnCode:
    """Runs agents that are the user's own code."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        bus: EventBus,
        clock: Clock,
        redactor: ReportingRedactor,
        model_calls: ModelCalls,
        project_root: Path,
        state_folder: Path,
        serve_models: ServeModels,
    ) -> None:
        """`serve_models` is the server by which the code calls models; this layer knows only that there is one."""
        self._configuration = configuration
        self._bus = bus
        self._clock = clock
        self._redactor = redactor
        self._model_calls = model_calls
        self._project_root = project_root
        self._state_folder = state_folder
        self._serve_models = serve_models
        self._frameworks = FrameworkEnvironments(state_folder, project_root)

    async def run(self, work: OwnWork, setup: AgentSetup) -> OwnCodeAnswer:
        """Run the function, the framework's object or the program that an agent is."""
        if setup.program:
            return await self._run_program(work, Program(setup.program, setup.own_code_name))
        if setup.framework is not None:
            return await self._run_program(work, self._frameworks.program(setup.framework, str(setup.entry_point)))
        return await self._call_function(work, str(setup.entry_point))

    async def _call_function(self, work: OwnWork, entry_point: str) -> OwnCodeAnswer:
        """Call a Python function. Raises OwnCodeError, also while the system is isolated."""
        heartbeat, started = self._begin(work, entry_point)
        key, report = _new_key(), partial(heartbeat.beat, Activity(f"runs {entry_point}", WorkPhase.TOOL))
        account, connections = self._connected(work, key, heartbeat)
        limits = self._limits(work)
        async with heartbeat.ticking():
            output = await sandbox.call_python(
                entry_point,
                {**work.task.model_dump(mode="json"), "workspace": work.run.folder},
                self._project_root,
                replace(limits, variables={**limits.variables, **gateway_variables(key), **_trace(work)}),
                on_output=report,
                python_path=self._configuration().runtime.python_path,
                connections=connections,
            )
        return self._answer(work, output, started, account)

    async def _run_program(self, work: OwnWork, program: Program) -> OwnCodeAnswer:
        """Run a program. Raises OwnCodeError, also while the system is isolated."""
        heartbeat, started = self._begin(work, program.name)
        async with self._task_files(work) as files:
            key = _new_key()
            account, connections = self._connected(work, key, heartbeat)
            said = _listening(heartbeat, program.name, self._limits(work).output_bytes)
            async with heartbeat.ticking():
                ended = await sandbox.run(
                    files.command(program.words, files.goal.read_text(encoding="utf-8")),
                    files.workspace,
                    self._limits_of(work, program, files),
                    extra_environment={**files.variables(work.task, key), **_trace(work)},
                    on_output=said.add,
                    clock=self._clock,
                    connections=replace(connections, standard_input=files.task, on_errors=said.on_text),
                )
            text = said.end()
            _check_end(program, ended, self._limits(work), text)
            output = await anyio.to_thread.run_sync(_delivered, files, said.reported, text, work.output)
        answer = self._answer(work, output, started, account)
        await anyio.to_thread.run_sync(partial(shutil.rmtree, files.state, ignore_errors=True))
        return answer

    def _begin(self, work: OwnWork, name: str) -> tuple[HeartbeatEmitter, float]:
        if self._configuration().runtime.isolated:
            raise sandbox.OwnCodeError(ISOLATED)
        heartbeat = HeartbeatEmitter(
            self._bus,
            self._clock,
            self._redactor,
            run_id=work.run.id,
            agent=work.task.agent,
            agent_run_id=work.agent_run_id,
        )
        heartbeat.beat(Activity(f"runs {name}", WorkPhase.TOOL))
        return heartbeat, self._clock.monotonic()

    def _answer(self, work: OwnWork, output: Any, started: float, account: ModelAccount) -> OwnCodeAnswer:
        run_id, agent = work.run.id, work.task.agent
        clean = self._redactor.data(sound_value(output), "the output of own code", run_id=run_id, agent=agent)
        return OwnCodeAnswer(output=clean, seconds=self._clock.monotonic() - started, use=account.use)

    def _connected(
        self, work: OwnWork, key: str, heartbeat: HeartbeatEmitter
    ) -> tuple[ModelAccount, CommandConnections]:
        """The account of its model calls, and the connection by which it makes them."""
        account = ModelAccount(work.call, key, work.model_calls)
        ask = partial(self._model_calls.complete_for, heartbeat, work.reroute)

        async def serve(listening: socket.socket) -> None:
            # The server is imported and started only for code that asks a model: much of it never does.
            await sandbox.readable(listening, None)
            await self._serve_models(account, ask, listening)

        return account, CommandConnections(serve=serve, port_in=ADDRESS_VARIABLES)

    def _limits(self, work: OwnWork) -> SandboxLimits:
        """The agent's limits. The code is all of the agent's work, so it gets all of the agent's time."""
        usual = SandboxLimits()
        agent = self._configuration().agent(work.task.agent)
        if agent is None:
            return usual
        longest = agent.limits.command_seconds or usual.seconds
        return limits_of(agent.limits, longest if work.seconds is None else work.seconds)

    def _limits_of(self, work: OwnWork, program: Program, files: TaskFiles) -> SandboxLimits:
        """The limits of a program in the isolation of commands, which leaves it its task, its state and its code."""
        limits = limits_in(self._limits(work), self._configuration(), self._project_root, files.workspace)
        if limits.isolation is None:
            return limits
        rules = limits.isolation
        own = (files.folder, files.state)
        rules = replace(rules, writable=(*rules.writable, *own), kept=(*rules.kept, files.state, *program.kept))
        return replace(limits, isolation=rules)

    @contextlib.asynccontextmanager
    async def _task_files(self, work: OwnWork) -> AsyncIterator[TaskFiles]:
        files = await anyio.to_thread.run_sync(self._make_files, work)
        try:
            yield files
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(shutil.rmtree, files.folder, ignore_errors=True))

    def _make_files(self, work: OwnWork) -> TaskFiles:
        step = work.task.step.id if work.task.step else "task"
        state = (self._state_folder / AGENT_STATE / work.run.id / work.task.agent / step).resolve()
        make_private_folder(state)
        folder = Path(tempfile.mkdtemp(prefix="orchestrator-task-")).resolve()
        files = TaskFiles(folder, state, Path(work.run.folder).resolve(), self._project_root)
        files.write(work.task, work.instructions, work.output)
        return files


def _listening(heartbeat: HeartbeatEmitter, name: str, at_most: int) -> ProgramOutput:
    """What reads a program's output, and turns it into heartbeats."""
    doing = [f"runs {name}"]

    def progress(words: str) -> None:
        doing[0] = f"{name}: {words}"[:_SHOWN_CHARACTERS]
        heartbeat.beat(Activity(doing[0], WorkPhase.TOOL))

    return ProgramOutput(at_most, progress, lambda text: heartbeat.beat(Activity(doing[0], WorkPhase.TOOL), text))


def _check_end(program: Program, ended: sandbox.CommandResult, limits: SandboxLimits, text: str) -> None:
    """Raise OwnCodeError unless the program has ended by itself, and well."""
    if ended.stopped is not None:
        kind = sandbox.OwnCodeTimeError if ended.stopped == limits.describe("seconds") else sandbox.OwnCodeError
        raise kind(f"{program.name} was stopped: {ended.stopped}")
    if not ended.ok:
        last = (ended.errors.strip() or text)[-_SHOWN_CHARACTERS:]
        raise sandbox.OwnCodeError(f"{program.name} failed (exit code {ended.exit_code}): {last or 'it said nothing'}")


def _delivered(files: TaskFiles, said: Any, text: str, output: type[BaseModel]) -> Any:
    """The answer: the file that the program has written, else what it has reported, else what it has printed."""
    try:
        # Never followed where it leads: the program may have put a link there to what it may not read itself.
        data = SafeFolder(files.folder).read(files.answer.name, _MOST_ANSWER_BYTES + 1)
    except FileNotFoundError:
        return answer_of_text(text, output) if said is None else said
    except (OSError, PermissionRefusedError) as error:
        raise sandbox.OwnCodeError(f"the answer cannot be read: {error}") from error
    if len(data) > _MOST_ANSWER_BYTES:
        limit = f"{_MOST_ANSWER_BYTES:,} bytes"
        raise sandbox.OwnCodeError(f"the answer has more than {limit}; write a file in the workspace instead")
    written = data.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(written)
        return value if isinstance(value, dict) else written
    return answer_of_text(written, output)


def _trace(work: OwnWork) -> dict[str, str]:
    """The span that the code's own spans belong to (https://opentelemetry.io/docs/specs/otel/context/env-carriers/)."""
    return {} if work.call.traceparent is None else {"TRACEPARENT": work.call.traceparent}


def _new_key() -> str:
    return f"run-{secrets.token_urlsafe(24)}"

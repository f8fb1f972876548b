"""An agent's tool calls: permissions, limits, events, and redacted results."""

from __future__ import annotations

import errno
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from orchestration.agents.call_recorder import CallRecorder
from orchestration.agents.command_environment import limits_in, limits_of
from orchestration.agents.network_gate import hosts_reached
from orchestration.agents.refusal_history import RefusalHistory
from orchestration.agents.run_workspace import command_record
from orchestration.agents.sandbox import OutputCallback, SandboxLimits
from orchestration.agents.text import excerpt
from orchestration.agents.toolchains import allowed_commands
from orchestration.agents.tools import (
    AgentTool,
    BadArgumentsError,
    ToolContext,
    ToolResult,
    ToolSource,
    ToolUnavailableError,
    parse_arguments,
)
from orchestration.agents.tools.notes import FolderNotes
from orchestration.agents.tools.registry import ALL, granted
from orchestration.clock import Clock
from orchestration.config.agents import AgentSettings
from orchestration.config.schema import Configuration
from orchestration.declarations.task import Call
from orchestration.domain.failure_class import kind_of_error
from orchestration.domain.work_phase import WorkPhase
from orchestration.errors import OrchestratorError
from orchestration.events import EventBus
from orchestration.events.agents import ToolCallFinished, ToolCallRefused
from orchestration.providers.dialects.offered_tools import OfferedTools
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.security.permissions import PermissionRefusedError
from orchestration.security.redaction_events import ReportingRedactor
from orchestration.security.refusals import PastRefusal, ProtectedPaths, RefusedAttempt, assess_refusal
from orchestration.security.safe_folder import SafeFolder
from orchestration.storage.call_records import CallKind
from orchestration.storage.runs import Run
from orchestration.workflows.heartbeat import Activity, HeartbeatEmitter
from orchestration.workflows.model import AgentTask, CommandRecord, StoredRecord

ISOLATED = "the system is isolated: no tool may be used until a person lifts that; say what is still to be done"
_UNKNOWN_END = (
    "{name}: the process that made this call died in the middle of it, and nobody knows whether it was carried out. "
    "It was not repeated, since {name} is not declared as idempotent. Find out what it did before you call it again"
)
_SHOWN_CHARACTERS = 120
_QUOTED_CHARACTERS = 300
# What the machine cannot do just now, whoever asks (errno(3)). A model could only give up or work around it.
_MACHINE_FAULTS = frozenset(
    {
        *(errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
    }
)
# Seconds before each further try: long enough for a file system that is mounted again, or a clean-up.
_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)

# What models reach for out of habit, and the tool that does it here.
_TOOL_FOR = {
    **dict.fromkeys(("ls", "find", "tree", "fd", "pwd"), "list_files"),
    **dict.fromkeys(("cat", "head", "tail", "less", "more", "nl"), "read_file"),
    **dict.fromkeys(("grep", "rg", "ag", "ack"), "search_files"),
    **dict.fromkeys(("sed", "perl"), "replace_in_file"),
    "patch": "apply_patch",
    **dict.fromkeys(("rm", "unlink"), "delete_file"),
    "mv": "move_file",
    "tee": "write_file",
}


class MachineFaultError(OrchestratorError):
    """The machine could not do what a tool asked of it, again and again."""


def _no_history(_run_id: str) -> Sequence[PastRefusal]:
    return ()


def name_of(call: Mapping[str, Any]) -> str:
    """The name of the tool that a model requests."""
    return str(call["function"]["name"])


class ToolAnswer(StoredRecord):
    """The result of a tool call: the text for the model, its duration, and the command if it ran one."""

    text: str
    ok: bool
    seconds: float
    command: CommandRecord | None


class ToolCalls:
    """Runs tools for agents, each call as a step."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        bus: EventBus,
        clock: Clock,
        redactor: ReportingRedactor,
        project_root: Path,
        state_folders: Sequence[Path],
        recorder: CallRecorder,
        history: RefusalHistory = _no_history,
        sources: Sequence[ToolSource] = (),
    ) -> None:
        """`state_folders` are where this system keeps what agents must never see, the first its own state; `history`
        returns the earlier refusals of a run; `sources` have the tools that do not ship."""
        self._configuration = configuration
        self._bus = bus
        self._clock = clock
        self._redactor = redactor
        self._project_root = project_root
        self._state = tuple(str(folder) for folder in state_folders)
        self._recorder = recorder
        self._history = history
        self._sources = tuple(sources)
        self._begun: set[str] = set()

    async def offered(self, agent: AgentSettings, folder: Path) -> list[AgentTool]:
        """The tools of an agent in a folder: those that ship, then those from elsewhere."""
        shipped = [ALL[name] for name in granted(agent.tools) if name in ALL]
        return [*shipped, *[tool for source in self._sources for tool in await source.offered(agent, folder)]]

    async def begin(self) -> str:
        """Note that a call is about to be made which must not be made twice; returns the note's name.

        It is known to this process alone. Where a flow finds it recorded and the process does not know it, the call was
        begun by one that has died, and nobody knows how far it came.
        """
        name = secrets.token_hex(8)
        self._begun.add(name)
        return name

    async def use(
        self,
        run: Run,
        task: AgentTask,
        agent_run_id: str,
        number: int,
        call: Mapping[str, Any],
        seconds: float | None,
        *,
        after: int,
        begun: str | None = None,
    ) -> ToolAnswer:
        """One tool call as a step.

        `after` is the number of the last step that was committed when this one began; `begun` what `begin` returned for
        a call that must not be made twice. A model's mistake is never an error: the answer tells the model what to do
        instead.
        """
        name = name_of(call)
        lost = begun is not None and begun not in self._begun
        self._begun.discard(begun or "")
        started = self._clock.monotonic()
        heartbeat = self._heartbeat(run, task, agent_run_id)
        text = str(call["function"]["arguments"])
        about = self._about(text, name)
        report = partial(heartbeat.beat, Activity(f"uses {name}", WorkPhase.TOOL, about))
        report()
        key = f"{agent_run_id}/{number}"
        recording = self._recorder.begin(key, run.id, task.agent, CallKind.TOOL, name=name, arguments=text)
        try:
            async with heartbeat.ticking():
                if lost:
                    result = ToolResult(_UNKNOWN_END.format(name=name), ok=False)
                else:
                    result = await self._result_in_the_end(run, task, name, text, key, seconds, heartbeat, report)
        except MachineFaultError as error:
            recording.add(failure={"kind": kind_of_error(type(error).__name__), "message": str(error)})
            raise
        took = self._clock.monotonic() - started
        self._bus.publish(
            ToolCallFinished(
                agent_run_id=agent_run_id,
                key=key,
                after=after,
                tool=name,
                about=about,
                ok=result.ok,
                seconds=took,
            ),
            run_id=run.id,
            agent=task.agent,
        )
        if hosts := result.data.get("hosts"):
            self._bus.publish(hosts_reached(hosts), run_id=run.id, agent=task.agent)
        command = None
        if "command" in result.data:
            data = result.data
            # `quiet`, because the same output is in the text below, whose findings are reported.
            output = self._redactor.quiet(data["output"])
            command = command_record(tuple(data["command"]), data["exit_code"], output, data["stopped"])
        recording.add(output=result.text, ok=result.ok, **_ending_of(result))
        told = self._redactor.text(result.text, "a tool's answer", run_id=run.id, agent=task.agent)
        return ToolAnswer(text=told, ok=result.ok, seconds=took, command=command)

    async def _result_in_the_end(
        self,
        run: Run,
        task: AgentTask,
        name: str,
        text: str,
        key: str,
        seconds: float | None,
        heartbeat: HeartbeatEmitter,
        on_output: OutputCallback,
    ) -> ToolResult:
        """The result of a call, tried again while the machine is at fault. Raises MachineFaultError."""
        for wait in (*_WAITS, None):
            try:
                return await self._result(run, task, name, text, key, seconds, on_output)
            except OSError as error:
                if wait is None:
                    raise MachineFaultError(
                        f"{name} could not be done: {error.strerror or error}; mend that, and resume the run"
                    ) from error
                reason = str(error.strerror or error)
                heartbeat.beat(Activity(f"waits to use {name} again", WorkPhase.WAITING, reason))
                await self._clock.sleep(wait)
        raise AssertionError

    async def _result(
        self,
        run: Run,
        task: AgentTask,
        name: str,
        text: str,
        key: str,
        seconds: float | None,
        on_output: OutputCallback,
    ) -> ToolResult:
        configuration = self._configuration()
        if configuration.runtime.isolated:
            # No `tool_call.refused` event: that would look like an agent that exceeds its permissions.
            return ToolResult(f"refused: {ISOLATED}", ok=False)
        agent = configuration.agent(task.agent)
        # By the configuration in force, not by the tools that the agent started with: one that was taken away since is
        # refused.
        try:
            tool = None if agent is None else await self._find(agent, name, Path(run.folder))
        except ToolUnavailableError as error:
            return ToolResult(str(error), ok=False)
        if agent is None or tool is None:
            known = ", ".join(granted(agent.tools)) if agent and agent.tools else "none"
            attempt = RefusedAttempt("tool", name)
            return await self._refused(run, task, attempt, f"there is no tool '{name}' for you; there is: {known}")
        folder = SafeFolder(Path(run.folder))
        context = ToolContext(
            folder,
            allowed_commands(agent.commands, folder.root),
            limits_in(self._limits(task, seconds), configuration, self._project_root, folder.root),
            on_output,
            FolderNotes(Path(self._state[0]) / "notes" / run.id, self._redactor.quiet),
            Call(run.id, agent.id, run.folder, key),
            self._redactor.find,
        )
        return await self._invoke(run, task, tool, context, text)

    async def _find(self, agent: AgentSettings, name: str, folder: Path) -> AgentTool | None:
        if name in ALL:
            return ALL[name] if name in granted(agent.tools) else None
        for source in self._sources:
            if (tool := await source.find(agent, name, folder)) is not None:
                return tool
        return None

    async def _invoke(self, run: Run, task: AgentTask, tool: AgentTool, context: ToolContext, text: str) -> ToolResult:
        try:
            result = await tool.run(context, parse_arguments(tool, text))
        except BadArgumentsError as error:
            example = OfferedTools([tool.schema()]).example_of(tool.name)
            came = excerpt(text, _QUOTED_CHARACTERS)
            return ToolResult(f"{error}\nyou sent: {came}\na correct example: {example}", ok=False)
        except PermissionRefusedError as error:
            attempt = RefusedAttempt(error.kind, error.what, writes=not tool.reads_only, leads_out=error.leads_out)
            return await self._refused(run, task, attempt, f"{error}{self._instead(task, attempt)}")
        except OSError as error:
            if error.errno in _MACHINE_FAULTS:
                raise
            return ToolResult(f"{tool.name} could not be done: {error.strerror or error}", ok=False)
        return result

    async def _refused(self, run: Run, task: AgentTask, attempt: RefusedAttempt, reason: str) -> ToolResult:
        earlier = await anyio.to_thread.run_sync(self._history, run.id)
        paths = ProtectedPaths(run.folder, self._state)
        judged = assess_refusal(attempt, self._clock.now(), earlier, paths)
        refused = ToolCallRefused(
            about=attempt.about,
            what=attempt.what[:_SHOWN_CHARACTERS],
            reason=reason,
            assessment=judged.assessment.value,
            because=judged.reason.value,
        )
        self._bus.publish(refused, run_id=run.id, agent=task.agent)
        return ToolResult(f"refused: {reason}", ok=False)

    def _instead(self, task: AgentTask, attempt: RefusedAttempt) -> str:
        """The tool of the agent that does what a refused command was for; an empty text if there is none."""
        agent = self._configuration().agent(task.agent)
        words = attempt.what.split()
        tool = _TOOL_FOR.get(words[0]) if attempt.about == "command" and words else None
        return f"; use the tool {tool} instead" if agent and tool in agent.tools else ""

    def _limits(self, task: AgentTask, seconds: float | None) -> SandboxLimits:
        agent = self._configuration().agent(task.agent)
        usual = SandboxLimits()
        if agent is None:
            return usual
        longest = agent.limits.command_seconds or usual.seconds
        return limits_of(agent.limits, longest if seconds is None else min(longest, seconds))

    def _heartbeat(self, run: Run, task: AgentTask, agent_run_id: str) -> HeartbeatEmitter:
        return HeartbeatEmitter(
            self._bus, self._clock, self._redactor, run_id=run.id, agent=task.agent, agent_run_id=agent_run_id
        )

    def _about(self, arguments: str, name: str) -> str:
        """The subject of a call in a few words: its path, pattern or command; of other tools, their arguments."""
        # Redacted before it is cut: half a secret would not be recognised.
        return self._redactor.quiet(_subject(arguments, shipped=name in ALL))[:_SHOWN_CHARACTERS]


def _ending_of(result: ToolResult) -> dict[str, Any]:
    """How the command of a call ended, if it ran one."""
    return {name: result.data.get(name) for name in ("exit_code", "stopped")} if "command" in result.data else {}


def _subject(arguments: str, *, shipped: bool) -> str:
    try:
        values = sound_value(json.loads(arguments or "{}"))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(values, dict):
        return ""
    if not shipped:
        return json.dumps(values, ensure_ascii=False) if values else ""
    chosen = values.get("path") or values.get("pattern") or values.get("command") or ""
    return " ".join(map(str, chosen)) if isinstance(chosen, Sequence) and not isinstance(chosen, str) else str(chosen)

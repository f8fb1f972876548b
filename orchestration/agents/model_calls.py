"""An agent's model calls: through the gateway, with waiting, budgets and heartbeats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
from pydantic import BaseModel

from orchestration.agents.call_recorder import CallRecorder, CallRecording
from orchestration.agents.replies import read_reply
from orchestration.clock import Clock
from orchestration.domain.failure_class import kind_of_error
from orchestration.domain.work_phase import WorkPhase
from orchestration.errors import OrchestratorError
from orchestration.events import EventBus
from orchestration.providers.attempt import ChunkCallback
from orchestration.providers.failures import (
    ConversationTooLongError,
    GatewayError,
    NoRouteError,
    StreamInterruptedError,
)
from orchestration.providers.gateway import Gateway
from orchestration.providers.wire import (
    SEALED_THOUGHTS,
    THOUGHTS_OF,
    CallProgress,
    ChatBody,
    Completion,
    GatewayCall,
)
from orchestration.security.redaction_events import ReportingRedactor
from orchestration.storage.call_records import CallKind
from orchestration.workflows.heartbeat import Activity, HeartbeatEmitter
from orchestration.workflows.model import AgentUsage, StoredRecord
from orchestration.workflows.suspension import RunSuspension

# A person or a playbook reroutes calls now and then; what waits for a provider waits for minutes.
# A provider may come back between its failure and the look at it, but not time and again.
_MOST_IN_VAIN = 5
_REROUTE_POLL_SECONDS = 2.0
# In blocks of Anthropic's and in items of the Responses API.
_SEALS = frozenset({"signature", "data", "encrypted_content"})

_WORDS = {
    WorkPhase.QUEUED: "waits for a place at {}",
    WorkPhase.READING: "asks a model",
    WorkPhase.THINKING: "hears from {}",
    WorkPhase.ANSWERING: "hears from {}",
}

Reroute = Callable[[GatewayCall], GatewayCall]
"""A call as the configuration in force routes it."""

MoreSeconds = Callable[[], Awaitable[float]]
"""By how many seconds the time of a call has been extended since it began."""


class TimeLimitError(OrchestratorError):
    """The agent's working time ended before the model had answered."""


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One request of an agent: the body, the form of the answer that is wanted in the end, and the request's number
    within the agent's flow."""

    agent_run_id: str
    number: int
    body: Mapping[str, Any]
    output: type[BaseModel]


class ModelReply(StoredRecord):
    """A model's answer as it is checkpointed. `message` is in the chat wire format; `as_text`: its tool calls were
    found in the text; `cut`: it ended at the limit of length. There is no answer, but the context of the route in
    tokens, `too_long_for`, where the conversation has to be condensed first."""

    added = ("as_text", "cut", "too_long_for")

    message: dict[str, Any]
    use: AgentUsage
    route: str
    as_text: bool = False
    cut: bool = False
    too_long_for: int = 0


class ModelCalls:
    """Calls models, and waits as long as no provider can answer."""

    def __init__(
        self,
        gateway: Gateway,
        waiting: RunSuspension,
        bus: EventBus,
        clock: Clock,
        redactor: ReportingRedactor,
        recorder: CallRecorder,
    ) -> None:
        self._gateway = gateway
        self._waiting = waiting
        self._bus = bus
        self._clock = clock
        self._redactor = redactor
        self._recorder = recorder

    def window(self, provider: str | None, model: str | None) -> int | None:
        """The context of the model that an agent asks first, in tokens; None if it is not known."""
        return self._gateway.window(GatewayCall(provider=provider, model=model))

    async def ask(self, request: AgentRequest, call: GatewayCall, more: MoreSeconds, reroute: Reroute) -> ModelReply:
        """One model call as a step: the message and its usage, redacted. `more` is asked when its time is up, and
        `reroute` while no provider can answer.

        Time spent waiting for a provider is not counted. The call's key makes sure that it is charged once even if the
        step is repeated.
        """
        settings = {name: value for name, value in request.body.items() if name not in ("messages", "tools")}
        recording = self._recorder.begin(
            call.key,
            call.run_id,
            call.agent,
            CallKind.MODEL,
            messages=request.body["messages"],
            tools=request.body.get("tools"),
            settings=settings,
        )
        try:
            return await self._ask(request, call, more, reroute, recording)
        except Exception as error:
            recording.add(failure={"kind": _kind_of(error), "message": str(error)})
            raise

    async def _ask(
        self, request: AgentRequest, call: GatewayCall, more: MoreSeconds, reroute: Reroute, recording: CallRecording
    ) -> ModelReply:
        heartbeat = HeartbeatEmitter(
            self._bus,
            self._clock,
            self._redactor,
            run_id=call.run_id or "",
            agent=call.agent or "",
            agent_run_id=request.agent_run_id,
        )
        heartbeat.beat(Activity(_WORDS[WorkPhase.READING], WorkPhase.READING))

        def progress(progress: CallProgress) -> None:
            heartbeat.beat(_activity(progress), progress.text)

        try:
            async with heartbeat.ticking():
                call = replace(call, progress=progress)
                completion = await self._complete(request.body, call, more, reroute, heartbeat)
        except ConversationTooLongError as error:
            recording.add(failure={"kind": error.outcome, "message": str(error)})
            # An answer of its own, and recorded: a replay must condense where the first execution has.
            return ModelReply(message={}, use=AgentUsage(), route=str(error.route), too_long_for=error.window)
        # As the model has sent it. What was made of it is among the messages of the next call.
        recording.add(answer=completion.message, finish_reason=completion.finish_reason, route=str(completion.route))
        tools = request.body.get("tools", ())
        # Read before it is recorded, so that a later release, which may read more, comes to the same on a replay.
        read = read_reply(completion.message, completion.finish_reason, tools, request.output, request.number)
        apart = ("tool_calls", *SEALED_THOUGHTS)
        said = {name: value for name, value in read.message.items() if name not in apart}
        whose = {"run_id": call.run_id, "agent": call.agent}
        message = self._redactor.data(said, "a model's answer", **whose)
        if calls := read.message.get("tool_calls"):
            message["tool_calls"] = self._redactor.work(calls, "a model's answer", **whose)
        route = str(completion.route)
        sealed = {name: read.message[name] for name in SEALED_THOUGHTS if name in read.message}
        readable = {name: _unsealed(thoughts) for name, thoughts in sealed.items()}
        # A thought is taken back only as it came, so one that would have to be redacted is left out whole.
        if sealed and self._redactor.data(readable, "a model's thoughts", **whose) == readable:
            message |= {**sealed, THOUGHTS_OF: route}
        return ModelReply(message=message, use=_use(completion), route=route, as_text=read.as_text, cut=read.cut)

    async def complete_for(
        self,
        heartbeat: HeartbeatEmitter,
        reroute: Reroute,
        body: ChatBody,
        call: GatewayCall,
        on_chunk: ChunkCallback | None = None,
    ) -> Completion:
        """One model call of a program that is an agent, whose heartbeat it is; waits while no provider can answer."""

        def progress(progress: CallProgress) -> None:
            heartbeat.beat(_activity(progress), progress.text)

        call = replace(call, progress=progress)
        parts = {name: body.get(name) for name in ("messages", "tools") if body.get(name)}
        recording = self._recorder.begin(call.key, call.run_id, call.agent, CallKind.MODEL, **parts)
        try:
            completion = await self._complete_for(heartbeat, reroute, body, call, on_chunk)
        except Exception as error:
            recording.add(failure={"kind": _kind_of(error), "message": str(error)})
            raise
        recording.add(answer=completion.message, finish_reason=completion.finish_reason, route=str(completion.route))
        return completion

    async def _complete_for(
        self,
        heartbeat: HeartbeatEmitter,
        reroute: Reroute,
        body: ChatBody,
        call: GatewayCall,
        on_chunk: ChunkCallback | None,
    ) -> Completion:
        in_vain = 0
        while True:
            try:
                return await self._gateway.complete(body, call, on_chunk)
            except StreamInterruptedError:
                # What the program has got of the answer cannot be taken back.
                raise
            except NoRouteError as error:
                problem = error
            in_vain = self._count_in_vain(in_vain, call, problem, reroute)
            call = await self._wait(call, problem, reroute, heartbeat)

    def _count_in_vain(self, before: int, call: GatewayCall, problem: NoRouteError, reroute: Reroute) -> int:
        """How often in a row no provider could answer although one is there. Raises the error when there is nothing
        to wait for: the providers work, and this request is what they cannot answer."""
        if not self._gateway.has_route(reroute(call)):
            return 0
        if before + 1 >= _MOST_IN_VAIN:
            raise problem
        return before + 1

    async def _wait(
        self, call: GatewayCall, problem: NoRouteError, reroute: Reroute, heartbeat: HeartbeatEmitter
    ) -> GatewayCall:
        """Wait until a provider can answer; returns the call as it is routed then."""
        heartbeat.beat(Activity("waits for a provider", WorkPhase.WAITING, str(problem)))
        async with self._waiting.on(call.run_id or "", call.agent or "", str(problem), problem.hints):
            return await self._usable(call, reroute)

    async def _complete(
        self,
        body: Mapping[str, Any],
        call: GatewayCall,
        more: MoreSeconds,
        reroute: Reroute,
        heartbeat: HeartbeatEmitter,
    ) -> Completion:
        # The limit is the agent's. If it were passed to the gateway, reaching it would count as a timeout of the route.
        left, call = call.seconds, replace(call, seconds=None)
        in_vain = 0
        while True:
            problem: NoRouteError | None = None
            try:
                completion = await within(left, more, partial(self._gateway.complete, body, call))
            except NoRouteError as error:
                problem = error
            else:
                if completion is not None:
                    return completion
            if problem is None:
                raise TimeLimitError(f"no answer within the {left:g} s of working time that were left")
            if left is not None:
                left = max(0.0, left - sum(one.seconds for one in problem.tries))
            in_vain = self._count_in_vain(in_vain, call, problem, reroute)
            call = await self._wait(call, problem, reroute, heartbeat)

    async def _usable(self, call: GatewayCall, reroute: Reroute) -> GatewayCall:
        """The call as soon as some route can be used for it: by another provider, if it was rerouted meanwhile."""
        while True:
            call = reroute(call)
            with anyio.move_on_after(_REROUTE_POLL_SECONDS) as scope:
                await self._gateway.wait_for_route(call)
            if not scope.cancelled_caught:
                return call


async def within(
    seconds: float | None, more: MoreSeconds, function: Callable[[], Awaitable[Completion]]
) -> Completion | None:
    """What a function returns within its time; None if it takes longer. When the time is up, `more` says by how much it
    has been extended since: somebody may have raised the limit of work that is getting on."""
    if seconds is None:
        return await function()
    found: list[Completion] = []
    failed: list[Exception] = []

    async def call() -> None:
        try:
            found.append(await function())
        except Exception as error:  # noqa: BLE001 (raised below, where no task group wraps it)
            failed.append(error)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        granted = 0.0
        await anyio.sleep(seconds)
        while (longer := await more()) > granted:
            await anyio.sleep(longer - granted)
            granted = longer
        group.cancel_scope.cancel()
    if failed:
        raise failed[0]
    return found[0] if found else None


def _activity(progress: CallProgress) -> Activity:
    return Activity(
        _WORDS[progress.phase].format(progress.about),
        progress.phase,
        progress.about,
        progress.completion_tokens,
        progress.prompt_tokens,
        progress.ahead,
    )


def _kind_of(error: Exception) -> str:
    return error.outcome if isinstance(error, GatewayError) else kind_of_error(type(error).__name__)


def _use(completion: Completion) -> AgentUsage:
    return AgentUsage(
        seconds=completion.seconds,
        model_calls=1,
        tokens=completion.usage.total,
        usd=completion.usd or 0.0,
        rehearsal=completion.rehearsal,
        cached_tokens=completion.usage.cached_tokens,
    )


def _unsealed(thoughts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What can be read of thoughts: without their signatures, and what is encrypted."""
    return [{name: value for name, value in one.items() if name not in _SEALS} for one in thoughts]

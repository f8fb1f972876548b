"""The flow of one agent: ask the model, run the tools it asks for, until it answers. Each of these is a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio.to_thread

from orchestration.agents import answers, prompts
from orchestration.agents.hands import Hands
from orchestration.agents.mouth import Mouth
from orchestration.config.schema import AgentRole, Configuration, Limits
from orchestration.errors import NotFoundError
from orchestration.events import Bus
from orchestration.storage.runs import Run, Runs
from orchestration.workflows.engine import Flow, StepError
from orchestration.workflows.model import AgentResult, AgentTask, CommandRecord, Failing, Record, Use

_REPAIRS = 2
_DEFAULT_MODEL_CALLS = 60

# Trying again with a fresh conversation may help against these, and against nothing else.
_WORTH_ANOTHER_ATTEMPT = frozenset({"malformed_answer", "too_many_model_calls"})


class Setup(Record):
    """What this agent works with, fixed when it starts."""

    system: str
    tools: tuple[dict[str, Any], ...]
    limits: dict[str, Any]
    attempts: int
    provider: str | None
    model: str | None
    entry_point: str | None


class GivenUpError(Exception):
    """The agent cannot deliver; `failing` says why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.failing = Failing(kind=kind, message=message)


class Conversation:
    """One attempt: the messages so far and what they cost. Rebuilt from the records when the flow is replayed."""

    def __init__(self, setup: Setup, task: AgentTask) -> None:
        self.messages: list[Mapping[str, Any]] = [
            {"role": "system", "content": setup.system},
            {"role": "user", "content": prompts.task_prompt(task)},
        ]
        self.repairs = 0

    def say(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})


class Ledger:
    """What the agent has used, over all its attempts, and whether it may go on."""

    def __init__(self, limits: Limits, seconds: float | None) -> None:
        self.use = Use()
        self.commands: list[CommandRecord] = []
        self._calls = limits.model_calls or _DEFAULT_MODEL_CALLS
        candidates = [limit for limit in (limits.seconds, seconds) if limit is not None]
        self._seconds = min(candidates) if candidates else None

    def seconds_left(self) -> float | None:
        return None if self._seconds is None else self._seconds - self.use.seconds

    def check(self) -> None:
        """Raise GivenUpError when a limit is reached."""
        left = self.seconds_left()
        if left is not None and left <= 0:
            raise GivenUpError("time_limit", f"not finished within its {self._seconds:g} s of working time")
        if self.use.model_calls >= self._calls:
            raise GivenUpError("too_many_model_calls", f"not finished after {self._calls} model calls")


class AgentLoop:
    """Works on one task with one agent of the configuration."""

    def __init__(
        self, runs: Runs, mouth: Mouth, hands: Hands, bus: Bus, configuration: Callable[[], Configuration]
    ) -> None:
        self._runs = runs
        self._mouth = mouth
        self._hands = hands
        self._bus = bus
        self._configuration = configuration

    async def body(self, flow: Flow, payload: Any) -> Any:
        """The flow itself; returns an AgentResult as JSON, whatever happens short of being cancelled."""
        task = AgentTask.model_validate(payload)
        run = await anyio.to_thread.run_sync(self._runs.get, task.run_id)
        self._bus.emit("agent.started", run_id=run.id, agent=task.agent, agent_run_id=flow.id, title=_title(task))
        result = await self._work(flow, run, task)
        failing = result.failing.model_dump() if result.failing else None
        self._bus.emit(
            "agent.finished",
            run_id=run.id,
            agent=task.agent,
            agent_run_id=flow.id,
            failing=failing,
            use=result.use.model_dump(mode="json"),
        )
        return result.model_dump(mode="json")

    async def _work(self, flow: Flow, run: Run, task: AgentTask) -> AgentResult:
        """Attempt the task, anew where a fresh start may help."""
        ledger = Ledger(Limits(), task.seconds)
        try:
            setup = Setup.model_validate(await flow.step("prepare", partial(self._prepare, run, task)))
            ledger = Ledger(Limits.model_validate(setup.limits), task.seconds)
            if setup.entry_point is not None:
                output = await self._call_own_code(flow, run, task, setup, ledger)
            else:
                output = await self._attempts(flow, run, task, setup, ledger)
        except GivenUpError as error:
            return AgentResult(failing=error.failing, use=ledger.use, commands=tuple(ledger.commands))
        except StepError as error:
            failing = Failing(kind=error.kind, message=str(error))
            return AgentResult(failing=failing, use=ledger.use, commands=tuple(ledger.commands))
        return AgentResult(output=output, use=ledger.use, commands=tuple(ledger.commands))

    async def _prepare(self, run: Run, task: AgentTask) -> Any:
        configuration = self._configuration()
        agent = configuration.agent(task.agent)
        if agent is None:
            raise NotFoundError(f"expected agent '{task.agent}' in the configuration, got none; was it removed?")
        return Setup(
            system=prompts.system_prompt(agent, answers.OUTPUTS[task.role]),
            tools=tuple(self._hands.schemas(agent)),
            limits=agent.limits.model_dump(mode="json", exclude_none=True),
            attempts=1 + configuration.runtime.agent_retries,
            provider=run.provider or agent.provider,
            model=agent.default_model,
            entry_point=agent.entry_point,
        ).model_dump(mode="json")

    async def _attempts(self, flow: Flow, run: Run, task: AgentTask, setup: Setup, ledger: Ledger) -> dict[str, Any]:
        for attempt in range(1, setup.attempts + 1):
            try:
                return await self._converse(flow, run, task, setup, ledger)
            except GivenUpError as error:
                if attempt == setup.attempts or error.failing.kind not in _WORTH_ANOTHER_ATTEMPT:
                    raise
                self._bus.emit(
                    "agent.retried", run_id=run.id, agent=task.agent, attempt=attempt, reason=error.failing.kind
                )
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _converse(self, flow: Flow, run: Run, task: AgentTask, setup: Setup, ledger: Ledger) -> dict[str, Any]:
        """One conversation, until the model answers without asking for tools."""
        conversation = Conversation(setup, task)
        while True:
            ledger.check()
            message = await self._ask(flow, run, task, setup, ledger, conversation)
            conversation.messages.append(message)
            if calls := message.get("tool_calls"):
                await self._use_tools(flow, run, task, ledger, conversation, calls)
                continue
            try:
                answer = answers.parse(message.get("content"), answers.OUTPUTS[task.role])
            except answers.MalformedAnswerError as error:
                conversation.repairs += 1
                if conversation.repairs > _REPAIRS:
                    raise GivenUpError("malformed_answer", f"{error} (after {_REPAIRS} corrections)") from error
                conversation.say(str(error))
            else:
                return answer.model_dump(mode="json")

    async def _ask(
        self, flow: Flow, run: Run, task: AgentTask, setup: Setup, ledger: Ledger, conversation: Conversation
    ) -> Mapping[str, Any]:
        body: dict[str, Any] = {"messages": list(conversation.messages)}
        if setup.tools and not conversation.repairs:
            body["tools"] = list(setup.tools)
        else:
            # Held to the schema only without tools: some servers stop calling tools as soon as they are given one.
            body["response_format"] = answers.response_format(answers.OUTPUTS[task.role])
        key = f"{flow.id}/{ledger.use.model_calls}"
        reply = await flow.step(
            "model", partial(self._mouth.ask, body, task, setup.provider, setup.model, key, ledger.seconds_left())
        )
        ledger.use = ledger.use.plus(Use.model_validate(reply["use"]))
        message: Mapping[str, Any] = reply["message"]
        return message

    async def _use_tools(
        self,
        flow: Flow,
        run: Run,
        task: AgentTask,
        ledger: Ledger,
        conversation: Conversation,
        calls: Sequence[Mapping[str, Any]],
    ) -> None:
        """Run the tools that the model asked for: side by side if none of them changes anything, else in its order."""
        named = [
            (
                f"tool:{call['function']['name']}"[:100],
                partial(self._hands.use, run, task, flow.id, call, ledger.seconds_left()),
            )
            for call in calls
        ]
        if all(self._hands.only_reads(call["function"]["name"]) for call in calls):
            results = await flow.steps(named)
        else:
            results = [await flow.step(name, function) for name, function in named]
        for call, result in zip(calls, results, strict=True):
            ledger.use = ledger.use.plus(Use(seconds=result["seconds"]))
            if result["command"] is not None:
                ledger.commands.append(CommandRecord.model_validate(result["command"]))
            conversation.messages.append(
                {"role": "tool", "tool_call_id": call.get("id") or "", "content": result["text"]}
            )

    async def _call_own_code(
        self, flow: Flow, run: Run, task: AgentTask, setup: Setup, ledger: Ledger
    ) -> dict[str, Any]:
        """The user's own function instead of a model: one step, in a process of its own."""
        result = await flow.step(
            "entry_point", partial(self._hands.call_own_code, run, task, flow.id, setup.entry_point)
        )
        ledger.use = ledger.use.plus(Use(seconds=result["seconds"]))
        output = result["output"]
        text = output if isinstance(output, str) else json.dumps(output)
        try:
            return answers.parse(text, answers.OUTPUTS[task.role]).model_dump(mode="json")
        except answers.MalformedAnswerError as error:
            raise GivenUpError("malformed_answer", f"{setup.entry_point}: {error}") from error


def _title(task: AgentTask) -> str:
    """What the agent works on, in one line."""
    if task.step is not None:
        return task.step.title
    return {AgentRole.PLANNER: "plan", AgentRole.REVIEWER: "review"}.get(task.role, task.goal.splitlines()[0][:100])

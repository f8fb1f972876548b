"""The flow of one agent: call the model, run the tools that it requests, until it answers. Each call is a
checkpoint."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestration.agents import answers, prompts
from orchestration.agents.circles import CircleStage
from orchestration.agents.context_budget import task_bytes
from orchestration.agents.conversation import AgentConversation
from orchestration.agents.evidence import Evidence
from orchestration.agents.history_summary import HistorySummaries, HistorySummary, summary_request
from orchestration.agents.model_calls import AgentRequest, ModelCalls, ModelReply
from orchestration.agents.own_code import OwnCode, OwnCodeAnswer, OwnWork
from orchestration.agents.tool_calls import ToolCalls, name_of
from orchestration.agents.tool_rounds import ToolRounds, reads_only, rules_of
from orchestration.agents.usage_budget import AgentGaveUpError, AgentSetup, UsageBudget, least
from orchestration.config.agents import AgentRole, AgentSettings
from orchestration.config.schema import Configuration
from orchestration.domain.failure_class import UNEXPECTED, kind_of_error
from orchestration.domain.provider_kind import ProviderKind
from orchestration.errors import NotFoundError
from orchestration.events import EventBus
from orchestration.events.agents import (
    AgentFinished,
    AgentInterrupted,
    AgentPrepared,
    AgentRetried,
    AgentStarted,
    FailureCause,
    Usage,
)
from orchestration.providers.wire import Allowance, GatewayCall
from orchestration.storage.runs import Run, Runs
from orchestration.telemetry.propagation import TRACEPARENT
from orchestration.telemetry.run_spans import agent_context
from orchestration.workflows.attempts import limits_of
from orchestration.workflows.engine import Flow, StepError, outlasting
from orchestration.workflows.model import (
    AgentResult,
    AgentTask,
    AgentUsage,
    FailingCheck,
    RunLimits,
    RunPlan,
    StepReport,
    TextAnswer,
)
from orchestration.workflows.start_gate import StartGate

T = TypeVar("T")

# A fresh conversation may help against these, and against nothing else. What one request was refused for, such as its
# length, may not be in the next.
_WORTH_ANOTHER_ATTEMPT = frozenset({"malformed_answer", "too_many_model_calls", "going_in_circles", "request_refused"})


@dataclass(slots=True)
class AgentWork:
    """One agent's task and its context. The setup changes with a new attempt of the run; `avoided` are the routes whose
    answers an earlier conversation could not use."""

    flow: Flow
    run: Run
    task: AgentTask
    setup: AgentSetup
    usage: UsageBudget
    evidence: Evidence
    avoided: frozenset[str] = frozenset()

    @property
    def output(self) -> type[BaseModel]:
        return answers.OUTPUTS[self.task.role]


class AgentLoop:
    """Works on one task with one agent of the configuration."""

    def __init__(
        self,
        runs: Runs,
        model_calls: ModelCalls,
        tool_calls: ToolCalls,
        tool_rounds: ToolRounds,
        own_code: OwnCode,
        gate: StartGate,
        bus: EventBus,
        configuration: Callable[[], Configuration],
        config_version: Callable[[], int | None],
        refresh: Callable[[], Awaitable[None]],
        flush: Callable[[], Awaitable[None]],
        project_root: Path,
    ) -> None:
        """`configuration` returns the one in force, `config_version` its number; `refresh` reads what other processes
        have changed in it. `flush` returns when all events are on the timeline: a step is committed only after its
        events are, or a crash in between would leave work that no timeline shows."""
        self._runs = runs
        self._model_calls = model_calls
        self._summaries = HistorySummaries(model_calls, bus)
        self._tool_calls = tool_calls
        self._tool_rounds = tool_rounds
        self._own_code = own_code
        self._gate = gate
        self._bus = bus
        self._configuration = configuration
        self._config_version = config_version
        self._refresh = refresh
        self._flush = flush
        self._project_root = project_root

    async def body(self, flow: Flow, task: AgentTask) -> AgentResult:
        """The flow itself; returns a result whatever happens short of being cancelled."""
        run = await self._gate.follow(await outlasting(partial(self._runs.get, task.run_id)))
        publish = partial(self._bus.publish, run_id=run.id, agent=task.agent)
        publish(AgentStarted(flow.id, _title(task)))
        try:
            result, version = await self._work(flow, run, task)
        except BaseException:  # cancelled, or the process ends: the flow continues elsewhere, or never
            publish(AgentInterrupted(flow.id))
            raise
        failing = FailureCause(**result.failing.model_dump()) if result.failing else None
        publish(AgentFinished(flow.id, failing, Usage(**result.use.model_dump()), version))
        await self._flush()
        return result

    async def _work(self, flow: Flow, run: Run, task: AgentTask) -> tuple[AgentResult, int | None]:
        """The result, and the version of the configuration by which the agent worked at the end."""
        usage, evidence = UsageBudget(), Evidence()
        output: dict[str, Any] | None = None
        failing: FailingCheck | None = None
        work: AgentWork | None = None
        try:
            setup = await self._prepared(flow, run, task)
            usage.limit(setup, task)
            work = AgentWork(flow, run, task, setup, usage, evidence)
            output = await self._deliver(work)
        except AgentGaveUpError as error:
            failing = error.failing
        except StepError as error:
            failing = _failing(error)
        version = work.setup.config_version if work else self._config_version()
        own = work is None or work.setup.is_own_code
        result = AgentResult(
            output=output,
            failing=failing,
            use=usage.use,
            commands=tuple(evidence.commands),
            facts=None if own else evidence.facts,
        )
        return result, version

    async def _prepared(self, flow: Flow, run: Run, task: AgentTask) -> AgentSetup:
        return await flow.step("prepare", AgentSetup, partial(self._flushed, self._prepare, flow.id, run, task))

    async def _renew(self, work: AgentWork, *, used_up: bool = False) -> None:
        """Take the settings in force where an earlier attempt of the run had not been yet; within one attempt, only a
        limit of time that was raised while it worked."""
        while (work.setup.attempt < work.run.attempt or used_up) and await work.flow.mark("attempt"):
            setup = await self._prepared(work.flow, work.run, work.task)
            if setup.attempt == work.setup.attempt:
                work.usage.raise_time(setup, work.task)
            else:
                work.setup = setup
                work.usage.limit(setup, work.task)
            used_up = False

    async def _check(self, work: AgentWork) -> None:
        """Raise AgentGaveUpError if the agent has used up what it may use, and nobody has given it more."""
        await self._renew(work, used_up=work.usage.time_is_up)
        work.usage.check()

    async def _prepare(self, flow_id: str, run: Run, task: AgentTask) -> AgentSetup:
        # Another process may have changed the configuration a moment ago.
        await self._refresh()
        configuration = self._configuration()
        agent = configuration.agent(task.agent)
        if agent is None:
            raise NotFoundError(f"There is no agent '{task.agent}' in the configuration any more. Was it removed?")
        provider, model = route_of(run, agent, configuration)
        tools = await self._tool_calls.offered(agent, Path(run.folder))
        setup = AgentSetup(
            system=prompts.system_prompt(agent, answers.OUTPUTS[task.role], self._project_root),
            tools=tuple(tool.schema() for tool in tools),
            limits=agent.limits.model_dump(mode="json", exclude_none=True),
            attempts=1 + configuration.runtime.agent_retries,
            provider=provider,
            model=model,
            entry_point=agent.function,
            program=agent.program,
            framework=agent.framework,
            attempt=run.attempt,
            config_version=self._config_version(),
            run_limits=await self._run_limits(run, configuration),
            parameters=agent.parameters.request_fields,
            context_tokens=self._model_calls.window(run.provider or agent.provider, agent.default_model),
            own_tools=rules_of(tools),
        )
        prepared = AgentPrepared(
            agent_run_id=flow_id,
            attempt=setup.attempt,
            config_version=setup.config_version,
            provider=setup.provider or configuration.runtime.default_provider,
            model=setup.model,
            seconds=agent.limits.seconds,
            tools=agent.tools,
        )
        self._bus.publish(prepared, run_id=run.id, agent=task.agent)
        return setup

    async def _run_limits(self, run: Run, configuration: Configuration) -> RunLimits:
        # Read again, since the limit of the run itself may have been raised.
        return limits_of(await outlasting(partial(self._runs.get, run.id)), configuration)

    async def _deliver(self, work: AgentWork) -> dict[str, Any]:
        """Attempt the task, again where a fresh conversation may help: by another route if there is one, else in words
        in the place of native tools."""
        attempt = 1
        while True:
            conversation = AgentConversation(work.task, work.output, task_bytes(work.setup))
            try:
                return await self._converse(work, conversation)
            except (AgentGaveUpError, StepError) as error:
                kind = error.failing.kind if isinstance(error, AgentGaveUpError) else kind_of_error(error.kind)
                work.usage.check()
                # The user's own code decides for itself what it repeats.
                own = work.setup.is_own_code
                # A conversation that was refused at once would be refused again.
                begun = conversation.calls or kind != "request_refused"
                if own or attempt >= work.setup.attempts or kind not in _WORTH_ANOTHER_ATTEMPT or not begun:
                    raise
                self._bus.publish(AgentRetried(attempt=attempt, reason=kind), run_id=work.run.id, agent=work.task.agent)
                work.avoided |= {conversation.route} - {""}
                attempt += 1

    async def _converse(self, work: AgentWork, conversation: AgentConversation) -> dict[str, Any]:
        """One conversation, until the model answers without asking for tools."""
        while True:
            await self._check(work)
            if work.setup.is_own_code:
                return await self._run_own_code(work)
            conversation.check(work.setup)
            reply = await self._ask(work, conversation)
            if reply.too_long_for:
                await self._condense(work, conversation, reply.too_long_for)
                continue
            conversation.add_reply(reply)
            if calls := reply.message.get("tool_calls"):
                stage = await self._use_tools(work, conversation, calls)
                # Marked, since a conversation that an earlier release has led goes on to where it has come.
                if stage is CircleStage.STOPPED and await work.flow.mark("circle"):
                    conversation.stop_circling()
                continue
            answer = await self._concluded(work, conversation, reply)
            if answer is not None and not self._is_sent_back(work, conversation, answer):
                return answer.model_dump(mode="json")

    async def _concluded(self, work: AgentWork, conversation: AgentConversation, reply: ModelReply) -> BaseModel | None:
        """The answer that a reply is; a plan that stays in words after all corrections is taken as it is."""
        try:
            return conversation.conclude(reply, work.setup)
        except AgentGaveUpError:
            said = str(reply.message.get("content") or "")
            plan = answers.plan_in_words(said) if work.output is RunPlan and not reply.cut else None
            # Marked, as above.
            if plan is None or not await work.flow.mark("plan_in_words"):
                raise
            return plan

    def _is_sent_back(self, work: AgentWork, conversation: AgentConversation, answer: BaseModel) -> bool:
        """Hold a report against what has really been done."""
        if not isinstance(answer, StepReport) or not answer.done or not work.setup.tools:
            return False
        objection = work.evidence.objection(work.task, unneeded=answer.nothing_to_change)
        return bool(objection) and conversation.object(objection)

    async def _ask(self, work: AgentWork, conversation: AgentConversation) -> ModelReply:
        body: dict[str, Any] = {**work.setup.parameters, "messages": conversation.messages(work.setup)}
        if work.setup.tools and not conversation.enforces_form:
            body["tools"] = list(work.setup.tools)
        elif work.output is not TextAnswer:
            # The schema is enforced only without tools: Ollama and some others call no tools once they are given a
            # format.
            body["response_format"] = answers.response_format(work.output)
        number = work.usage.next_number()
        call = self._call(work, number, condenses=conversation.can_be_condensed)
        request = AgentRequest(work.flow.id, number, body, work.output)
        more = partial(self._more_seconds, work)
        ask = partial(self._model_calls.ask, request, call, more, partial(self._rerouted, work))
        reply = await work.flow.step("model", ModelReply, partial(self._flushed, ask))
        work.usage.add(reply.use)
        return reply

    def _call(self, work: AgentWork, number: int, *, condenses: bool = False) -> GatewayCall:
        return GatewayCall(
            run_id=work.run.id,
            agent=work.task.agent,
            key=f"{work.flow.id}/{number}",
            provider=work.setup.provider,
            model=work.setup.model,
            seconds=work.usage.seconds_left(),
            adaptable=True,
            avoided=work.avoided,
            condenses=condenses,
            traceparent=self._traceparent(work),
            allowance=_allowance(work.run),
        )

    def _traceparent(self, work: AgentWork) -> str | None:
        """The agent's span, where runs are traced: by us, or by who started this one."""
        caller = work.run.options.get(TRACEPARENT)
        if caller is None and self._configuration().monitoring.open_telemetry is None:
            return None
        return agent_context(work.run.id, work.run.attempt, caller, work.flow.id).traceparent

    async def _condense(self, work: AgentWork, conversation: AgentConversation, window: int) -> None:
        """Sum up the older part of a conversation that does not fit a context of `window` tokens, as a step."""
        number, past = work.usage.next_number(), conversation.past(window)
        # The last call that is left is for the work itself.
        spare = work.usage.calls_left is None or work.usage.calls_left > 1
        request = summary_request(past, window, work.flow.id, number, work.setup.parameters) if spare else None
        more, reroute = partial(self._more_seconds, work), partial(self._rerouted, work)
        write = partial(self._summaries.write, past, window, request, self._call(work, number), more, reroute)
        summary = await work.flow.step("summary", HistorySummary, partial(self._flushed, write))
        work.usage.add(summary.use)
        conversation.condense(summary)

    async def _use_tools(
        self, work: AgentWork, conversation: AgentConversation, calls: Sequence[Mapping[str, Any]]
    ) -> CircleStage:
        """Run the requested tools."""
        results = await self._tool_rounds.carry_out(work.flow, work.run, work.task, work.setup, work.usage, calls)
        for call, result in zip(calls, results, strict=True):
            reads = reads_only(name_of(call), work.setup)
            work.evidence.add(ok=result.ok, reads_only=reads, command=result.command)
        return conversation.add_results(calls, results, lambda name: reads_only(name, work.setup))

    async def _run_own_code(self, work: AgentWork) -> dict[str, Any]:
        """The user's own code instead of a model: one step, in processes of its own."""
        call = replace(self._call(work, work.usage.next_number()), seconds=None, adaptable=False)
        own = OwnWork(
            run=work.run,
            task=work.task,
            agent_run_id=work.flow.id,
            output=work.output,
            instructions=work.setup.system,
            call=call,
            reroute=partial(self._rerouted, work),
            seconds=work.usage.seconds_left(),
            model_calls=work.usage.calls_left,
        )
        run = partial(self._flushed, self._own_code.run, own, work.setup)
        result = await work.flow.step("entry_point", OwnCodeAnswer, run)
        work.usage.add(AgentUsage(seconds=result.seconds).plus(result.use))
        try:
            answer = answers.of_own_code(result.output, work.output)
        except answers.MalformedAnswerError as error:
            raise AgentGaveUpError("malformed_answer", f"{work.setup.own_code_name}: {error.problem}") from error
        return answer.model_dump(mode="json")

    async def _flushed(self, function: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        """Run the function of a step, and flush its events before the step is committed."""
        try:
            return await function(*arguments, **options)
        finally:
            await self._flush()

    def _rerouted(self, work: AgentWork, call: GatewayCall) -> GatewayCall:
        """The call with the agent's provider and model of now. What no provider answers has no setting to keep."""
        configuration = self._configuration()
        agent = configuration.agent(work.task.agent)
        if agent is None:
            return call
        provider, model = route_of(work.run, agent, configuration)
        return replace(call, provider=provider, model=model)

    async def _more_seconds(self, work: AgentWork) -> float:
        """How much longer the agent may work by the limits in force than by those that it began with."""
        await self._refresh()
        configuration = self._configuration()
        agent = configuration.agent(work.task.agent)
        before = work.usage.seconds_left()
        if agent is None or before is None:
            return 0.0
        limits = await self._run_limits(work.run, configuration)
        present = least(agent.limits.seconds, work.task.with_limits(limits).seconds)
        return math.inf if present is None else present - work.usage.use.seconds - before


def route_of(run: Run, agent: AgentSettings, configuration: Configuration) -> tuple[str | None, str | None]:
    """The provider and the model that an agent asks for first in a run; None for the default. Pure.

    What is said of the agent alone comes before what is said of all: the provider of a run that names this agent, the
    agent's own, then the provider of the run. Only a rehearsal comes before everything, since it must not cost money. A
    model is that of the provider for which it was chosen; the model of a run, that of the run's provider.
    """
    provider, model = _configured_route(run, agent, configuration)
    default = configuration.runtime.default_provider
    chosen: str | None = run.options.get("model")
    if chosen and (provider or default) == (run.provider or default):
        return provider, chosen
    return provider, model


def _configured_route(run: Run, agent: AgentSettings, configuration: Configuration) -> tuple[str | None, str | None]:
    asked = configuration.provider(run.provider) if run.provider else None
    rehearsed = asked is not None and asked.type is ProviderKind.REHEARSAL
    if run.provider and agent.provider and (rehearsed or run.agent == agent.id):
        return run.provider, agent.default_model if run.provider == agent.provider else None
    return agent.provider or run.provider, agent.default_model


def _allowance(run: Run) -> Allowance | None:
    """What the run may use by its own options."""
    tokens, usd = run.options.get("tokens"), run.options.get("usd")
    return None if tokens is None and usd is None else Allowance(tokens, usd)


def _title(task: AgentTask) -> str:
    """The agent's work in one line."""
    if task.step is not None:
        return task.step.title
    return {AgentRole.PLANNER: "plan", AgentRole.REVIEWER: "review"}.get(
        task.role, task.goal.strip().partition("\n")[0][:100]
    )


def _failing(error: StepError) -> FailingCheck:
    kind = kind_of_error(error.kind)
    if kind == UNEXPECTED:
        return FailingCheck(kind=kind, message=f"{error.kind}: {error}", error=error.kind)
    return FailingCheck(kind=kind, message=str(error))

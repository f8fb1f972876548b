"""The spans of a run, from its timeline: the workflow, its agents, their model calls and tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentInterrupted, AgentPrepared, AgentStarted, ToolCallFinished
from orchestration.events.providers import CallAttempt, ModelCallFailed, ModelCallFinished
from orchestration.events.runs import RunCancelled, RunFinished
from orchestration.telemetry.span import AttributeValue, Span, SpanContext, SpanEvent, SpanKind, run_context

# What the conventions call the vendors; any other name is passed on as it is.
_PROVIDER_NAMES = {"azure": "azure.ai.openai", "openai": "openai", "anthropic": "anthropic"}
_FAILED = frozenset({"failed"})


@dataclass(frozen=True, slots=True)
class TracedRun:
    """A run as its spans need it. `providers` are the kinds of the providers, by name; `traceparent` is its
    caller's."""

    id: str
    workflow: str
    created_at: datetime
    attempt: int
    providers: Mapping[str, str]
    traceparent: str | None = None

    @property
    def context(self) -> SpanContext:
        """The span of the present attempt."""
        return run_context(_attempt_name(self.id, self.attempt), self.traceparent)[0]

    @property
    def parent(self) -> SpanContext | None:
        return run_context(_attempt_name(self.id, self.attempt), self.traceparent)[1]


def _attempt_name(run_id: str, attempt: int) -> str:
    return run_id if attempt == 1 else f"{run_id}#{attempt}"


def agent_context(run_id: str, attempt: int, traceparent: str | None, agent_run_id: str) -> SpanContext:
    """The span of an agent at work, which ends later, for what it calls."""
    return run_context(_attempt_name(run_id, attempt), traceparent)[0].child("agent", agent_run_id)


def spans_of_run(run: TracedRun, events: Sequence[Event]) -> list[Span]:
    """All spans of a run's last attempt, which has ended. `events` are those of the attempt, in order."""
    return [*_workflow(run, events), *_agents(run, events), *_calls(run, events), *_tools(run, events)]


def _workflow(run: TracedRun, events: Sequence[Event]) -> Iterator[Span]:
    for event in events:
        match event.payload:
            case RunFinished(status=status, reason=reason, failure=failure):
                error = (reason or status) if status in _FAILED else ""
                more = {"error.type": failure or status} if error else {}
            case RunCancelled(reason=reason):
                status, error, more = "cancelled", "", {}
            case _:
                continue
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": run.workflow,
            "orchestration.run.id": run.id,
            "orchestration.run.status": status,
            "orchestration.run.attempt": run.attempt,
            **more,
        }
        started = run.created_at if run.attempt == 1 else events[0].at
        name = f"invoke_workflow {run.workflow}"
        yield Span(name, SpanKind.INTERNAL, run.context, run.parent, started, event.at, attributes, error)
        return


def _agents(run: TracedRun, events: Sequence[Event]) -> Iterator[Span]:
    started: dict[str, tuple[datetime, str]] = {}
    prepared: dict[str, AgentPrepared] = {}
    for event in events:
        match event.payload:
            case AgentStarted(agent_run_id=one, title=title):
                started.setdefault(one, (event.at, title))
            case AgentPrepared(agent_run_id=one):
                prepared[one] = event.payload
            case AgentFinished(agent_run_id=one) as finished:
                since, title = started.get(one, (event.at, ""))
                yield _agent(run, event, finished, since, title, prepared.get(one))
            case AgentInterrupted():
                pass


def _agent(
    run: TracedRun, event: Event, finished: AgentFinished, since: datetime, title: str, prepared: AgentPrepared | None
) -> Span:
    name = event.agent or ""
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": _provider(run, prepared.provider if prepared else ""),
        "gen_ai.agent.name": name,
        "orchestration.agent_run.id": finished.agent_run_id,
        "orchestration.step.title": title,
        "orchestration.usage.model_calls": finished.use.model_calls,
        "orchestration.usage.usd": finished.use.usd,
    }
    if prepared is not None and prepared.model:
        attributes["gen_ai.request.model"] = prepared.model
    if finished.failing is not None:
        attributes["error.type"] = finished.failing.error or finished.failing.kind
    error = finished.failing.message if finished.failing else ""
    context = _agent_context(run, finished.agent_run_id)
    title = f"invoke_agent {name}"
    return Span(title, SpanKind.INTERNAL, context, run.context, since, event.at, attributes, error)


def _calls(run: TracedRun, events: Sequence[Event]) -> Iterator[Span]:
    for place, event in enumerate(events):
        if not isinstance(event.payload, ModelCallFinished | ModelCallFailed):
            continue
        call = event.payload
        provider, _, model = (call.route or "").partition("/")
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _provider(run, provider),
            **({"gen_ai.request.model": model} if model else {}),
            **_usage(call),
        }
        failed = isinstance(call, ModelCallFailed)
        if failed:
            attributes["error.type"] = call.outcome
        began = event.at - timedelta(seconds=call.seconds)
        yield Span(
            f"chat {model}".strip(),
            SpanKind.CLIENT,
            run.context.child(call.key or str(place), event.at.isoformat()),
            _parent(run, call.key),
            began,
            event.at,
            attributes,
            call.outcome if failed else "",
            events=tuple(_attempts(call.tries, began)),
        )


def _usage(call: ModelCallFinished | ModelCallFailed) -> dict[str, AttributeValue]:
    if isinstance(call, ModelCallFailed):
        return {}
    found: dict[str, AttributeValue] = {
        "gen_ai.response.model": call.route.partition("/")[2],
        "gen_ai.usage.input_tokens": call.prompt_tokens,
        "gen_ai.usage.output_tokens": call.completion_tokens,
    }
    if call.cached_tokens:
        found["gen_ai.usage.cache_read.input_tokens"] = call.cached_tokens
    if call.first_token_seconds is not None:
        found["gen_ai.response.time_to_first_chunk"] = call.first_token_seconds
    return found


def _attempts(tries: Sequence[CallAttempt], began: datetime) -> Iterator[SpanEvent]:
    """The routes that were tried, one after the other."""
    at = began
    for one in tries:
        at += timedelta(seconds=one.seconds)
        yield SpanEvent("orchestration.route.tried", at, {"route": one.route, "outcome": one.outcome})


def _tools(run: TracedRun, events: Sequence[Event]) -> Iterator[Span]:
    for event in events:
        if not isinstance(event.payload, ToolCallFinished):
            continue
        call = event.payload
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call.key,
            **({} if call.ok else {"error.type": "tool_error"}),
        }
        yield Span(
            f"execute_tool {call.tool}",
            SpanKind.INTERNAL,
            run.context.child(call.key),
            _agent_context(run, call.agent_run_id),
            event.at - timedelta(seconds=call.seconds),
            event.at,
            attributes,
            "" if call.ok else f"{call.tool} failed",
        )


def _agent_context(run: TracedRun, agent_run_id: str) -> SpanContext:
    return run.context.child("agent", agent_run_id)


def _parent(run: TracedRun, key: str | None) -> SpanContext:
    """The agent whose call it is, by the call's key, which begins with the agent's flow."""
    flow = (key or "").partition("/")[0]
    return _agent_context(run, flow) if flow else run.context


def _provider(run: TracedRun, name: str) -> str:
    kind = run.providers.get(name, name)
    return _PROVIDER_NAMES.get(kind, kind) or "unknown"

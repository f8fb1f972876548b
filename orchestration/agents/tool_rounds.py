"""The tool calls of one reply of a model: in which order, after which approvals, and as which steps of the flow."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from orchestration.agents.tool_calls import ToolAnswer, ToolCalls, name_of
from orchestration.agents.tools import AgentTool
from orchestration.agents.tools.registry import ALL
from orchestration.agents.usage_budget import AgentSetup, ToolRule, UsageBudget
from orchestration.storage.runs import Run
from orchestration.workflows.approvals import Approvals, DeniedError
from orchestration.workflows.engine import Flow, NamedStep
from orchestration.workflows.model import AgentTask, AgentUsage

# A person has to be able to read what is asked.
_ASKED_CHARACTERS = 500

Redact = Callable[[str], str]


class ToolRounds:
    """Carries out the calls of a reply."""

    def __init__(
        self, tool_calls: ToolCalls, approvals: Approvals, redact: Redact, flush: Callable[[], Awaitable[None]]
    ) -> None:
        """`flush` returns when all events are on the timeline: a step is committed only after its events are."""
        self._tool_calls = tool_calls
        self._approvals = approvals
        self._redact = redact
        self._flush = flush

    async def carry_out(
        self,
        flow: Flow,
        run: Run,
        task: AgentTask,
        setup: AgentSetup,
        usage: UsageBudget,
        calls: Sequence[Mapping[str, Any]],
    ) -> list[ToolAnswer]:
        """Run the requested tools: concurrently if all of them only read, otherwise in the model's order."""
        seconds, after = usage.seconds_left(), usage.last_number
        side_by_side = all(is_concurrent(name_of(call), setup) for call in calls)
        numbers = [usage.next_number() for _ in calls]
        use = partial(self._flushed, run, task, flow.id, seconds)
        if side_by_side:
            results = await flow.steps(
                [
                    NamedStep(f"tool:{name_of(call)}", ToolAnswer, partial(use, number, call, after))
                    for number, call in zip(numbers, calls, strict=True)
                ]
            )
            usage.add(AgentUsage(seconds=max(result.seconds for result in results)))
            return results
        results = []
        for place, (number, call) in enumerate(zip(numbers, calls, strict=True)):
            rule = setup.own_tools.get(name_of(call), ToolRule())
            results.append(await self._one(flow, run, rule, number, call, partial(use, number, call, after + place)))
        usage.add(AgentUsage(seconds=sum(result.seconds for result in results)))
        return results

    async def _one(
        self,
        flow: Flow,
        run: Run,
        rule: ToolRule,
        number: int,
        call: Mapping[str, Any],
        use: Callable[..., Awaitable[ToolAnswer]],
    ) -> ToolAnswer:
        """One call by itself, once a person has approved it where that is required."""
        name = name_of(call)
        if rule.asks:
            try:
                await self._approvals.wait(flow, run, self._question(call), f"tool-{number}")
            except DeniedError as error:
                return ToolAnswer(text=f"refused: {error}; do without it", ok=False, seconds=0.0, command=None)
        begun = await flow.step("begin", str, self._tool_calls.begin) if rule.once else None
        return await flow.step(f"tool:{name}", ToolAnswer, partial(use, begun=begun))

    def _question(self, call: Mapping[str, Any]) -> str:
        try:
            arguments = json.dumps(json.loads(call["function"]["arguments"] or "{}"), ensure_ascii=False)
        except ValueError:
            arguments = str(call["function"]["arguments"])
        # Redacted before it is cut: half a secret would not be recognised.
        shown = self._redact(arguments)
        more = "" if len(shown) <= _ASKED_CHARACTERS else " …"
        return f"may {name_of(call)} be called with {shown[:_ASKED_CHARACTERS]}{more}?"

    async def _flushed(
        self,
        run: Run,
        task: AgentTask,
        agent_run_id: str,
        seconds: float | None,
        number: int,
        call: Mapping[str, Any],
        after: int,
        begun: str | None = None,
    ) -> ToolAnswer:
        try:
            return await self._tool_calls.use(run, task, agent_run_id, number, call, seconds, after=after, begun=begun)
        finally:
            await self._flush()


def rules_of(tools: Iterable[AgentTool]) -> dict[str, ToolRule]:
    """The rules of the tools that do not ship."""
    return {
        tool.name: ToolRule(reads=tool.reads_only, once=not tool.repeatable, asks=tool.approval)
        for tool in tools
        if tool.name not in ALL
    }


def reads_only(name: str, setup: AgentSetup) -> bool:
    """Whether a tool changes nothing."""
    return ALL[name].reads_only if name in ALL else setup.own_tools.get(name, ToolRule()).reads


def is_concurrent(name: str, setup: AgentSetup) -> bool:
    """Whether a call may run beside others: one that a person is asked about has steps of its own before it."""
    return reads_only(name, setup) and not setup.own_tools.get(name, ToolRule()).asks

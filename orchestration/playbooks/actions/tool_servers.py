"""The servers that tools of agents come from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import anyio.to_thread

from orchestration.domain.subject_kind import SubjectKind
from orchestration.events.tools import ToolServerFailed, ToolServerRecovered
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome, NoParameters, action

# A server that nobody has used since says nothing about itself.
_DAY = timedelta(days=1)
_KINDS = (ToolServerFailed.kind, ToolServerRecovered.kind)


@action
class ToolServersAction(Action[NoParameters]):
    """See which servers of tools work."""

    name = "evidence.tool-servers"
    summary = "see which servers of tools work, which agents use them, and why the others do not work"
    proves = frozenset({SubjectKind.TOOL_SERVERS})
    finds = ("failing", "reasons", "agents", "removed")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        events = await anyio.to_thread.run_sync(self.services.timeline.list_recent, _KINDS, context.now - _DAY)
        last = {event.data.get("server", ""): event.payload for event in events}
        reasons: Mapping[str, str] = {
            name: payload.reason for name, payload in last.items() if isinstance(payload, ToolServerFailed)
        }
        configuration = self.services.configuration()
        configured = {name for name, one in configuration.mcp_servers.items() if one.enabled}
        failing = sorted(reasons.keys() & configured)
        agents = sorted(
            agent.id for agent in configuration.agents if any(one.partition("__")[0] in failing for one in agent.tools)
        )
        said = "; ".join(f"{name}: {reasons[name]}" for name in failing)
        return ActionOutcome(
            f"failing: {said or 'none'}",
            {
                "failing": failing,
                "reasons": [reasons[name] for name in failing],
                "agents": agents,
                "removed": sorted(reasons.keys() - configured),
            },
        )

"""Actions that document: the effect of an incident on the SLA, and the draft of its review."""

from __future__ import annotations

import anyio.to_thread

from orchestration.incidents.sla import TargetKind, TargetState
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome, NoParameters, action


@action
class SlaAction(Action[NoParameters]):
    """Record the effect on the SLA."""

    name = "document.sla"
    summary = "compare the incident's times with its targets"
    finds = ("breached",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        incident = await anyio.to_thread.run_sync(self.services.incidents.get, context.incident_id)
        percent = self.services.configuration().response.at_risk_percent
        states = {kind: incident.clock.state(kind, context.now, percent) for kind in TargetKind}
        summary = "; ".join(f"{kind.value}: {state.value}" for kind, state in states.items())
        breached = [kind.value for kind, state in states.items() if state is TargetState.BREACHED]
        return ActionOutcome(f"SLA: {summary}", {"breached": breached})


@action
class ReviewAction(Action[NoParameters]):
    """Draft the review."""

    name = "document.review"
    summary = "draft the post-incident review from the timeline"
    finds = ("file",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        path = await anyio.to_thread.run_sync(self.services.reviews.draft, context.incident_id)
        return ActionOutcome(f"the review is drafted in {path}", {"file": str(path)})

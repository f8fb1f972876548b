"""Actions on what became of the work: how much of it was not approved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import anyio.to_thread

from orchestration.domain.run_status import RunStatus
from orchestration.domain.subject_kind import SubjectKind
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome, Parameters, action

# As many as the rule of the alert judges.
_RUNS = 20
_JUDGED = (RunStatus.SUCCEEDED, RunStatus.NOT_APPROVED, RunStatus.INCOMPLETE)


class JudgedAgents(Parameters):
    """Agents by name; all if none is named."""

    agents: tuple[str, ...] = ()


@action
class OutcomeEvidence(Action[JudgedAgents]):
    """Measure how much work was not approved."""

    name = "evidence.outcomes"
    summary = "count how the last runs of these agents were judged, and collect what reviewers still asked for"
    proves = frozenset({SubjectKind.OUTCOMES})
    finds = ("judged", "refused", "percent", "findings")

    async def run(self, context: ActionContext, parameters: JudgedAgents) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._count, parameters.agents)

    def _count(self, agents: Sequence[str]) -> ActionOutcome:
        runs = self.services.runs.list(_JUDGED, 10 * _RUNS)
        theirs = [run for run in runs if not agents or (run.outcome or {}).get("agent") in agents][:_RUNS]
        refused = [run for run in theirs if run.status is not RunStatus.SUCCEEDED]
        asked = [finding for run in refused for finding in (run.outcome or {}).get("findings", ())]
        found = Counter(str(finding.get("message", ""))[:200] for finding in asked)
        percent = 100.0 * len(refused) / len(theirs) if theirs else 0.0
        findings = {
            "judged": len(theirs),
            "refused": len(refused),
            "percent": percent,
            "findings": [message for message, _ in found.most_common(5)],
        }
        summary = f"{len(refused)} of the last {len(theirs)} judged runs were not approved or not completed"
        return ActionOutcome(summary, findings, {"runs": {run.id: run.reason for run in refused}})

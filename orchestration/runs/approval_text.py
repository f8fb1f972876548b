"""What an approval of a run will bring about, in words. Pure."""

from __future__ import annotations

from orchestration.agents.tools.registry import may_write
from orchestration.config.schema import Configuration
from orchestration.storage.approvals import Approval
from orchestration.storage.runs import Run


def approval_effect(approval: Approval, run: Run, configuration: Configuration) -> str:
    """What happens if a question of a run is approved, and if it is denied."""
    denied = "If you deny it, the run ends here, and keeps what it has done so far."
    # The question is about the agent that its identifier ends with (`workflows/coordinator.py`).
    agent = configuration.agent(approval.id.removeprefix(f"{run.id}."))
    if agent is None:
        return f"If you approve it, the run goes on. {denied}"
    provider = agent.provider or run.provider or configuration.runtime.default_provider
    place = "a worktree of its own" if run.has_worktree else run.workspace
    does = f"works in {place} and may change files there" if may_write(agent) else f"reads {place} and changes nothing"
    return f"If you approve it, the agent {agent.id} starts: it {does}, and asks models of {provider}. {denied}"

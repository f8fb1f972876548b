"""The environments that agents of other frameworks run in."""

from __future__ import annotations

import anyio.to_thread

from orchestration.agents.frameworks.environments import FrameworkEnvironments
from orchestration.domain.framework import Framework
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome, action
from orchestration.playbooks.actions.evidence import AgentSelection


@action
class EnvironmentEvidence(Action[AgentSelection]):
    """Find out which packages the agents of other frameworks have."""

    name = "evidence.environments"
    summary = "list the frameworks that these agents use, with the versions in their environments, and what is missing"
    finds = ("missing", "versions")

    async def run(self, context: ActionContext, parameters: AgentSelection) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._find, parameters)

    def _find(self, parameters: AgentSelection) -> ActionOutcome:
        services = self.services
        environments = FrameworkEnvironments(services.state_folder, services.root)
        agents = [
            one for one in services.configuration().agents if one.id in parameters.agents or not parameters.agents
        ]
        used = [one for one in Framework if any(agent.framework is one for agent in agents)]
        states = [environments.state(framework) for framework in used]
        missing = [state.framework.value for state in states if not state.version]
        versions = {state.framework.value: state.version for state in states if state.version}
        said = [
            *(f"{name} {version}" for name, version in versions.items()),
            *(f"{name} is missing" for name in missing),
        ]
        packages = {state.framework.value: dict(state.packages) for state in states}
        summary = ", ".join(said) or "these agents use no framework"
        return ActionOutcome(summary, {"missing": missing, "versions": list(versions.values())}, {"packages": packages})

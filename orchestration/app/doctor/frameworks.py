"""The frameworks whose crews, graphs and agents are agents here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestration.agents.frameworks.environments import FrameworkEnvironments, FrameworkState
from orchestration.app.doctor.diagnosis import CheckResult, ok, problem, warning
from orchestration.config.schema import Configuration
from orchestration.domain.framework import Framework


def check(configuration: Configuration, root: Path) -> Iterator[CheckResult]:
    """Whether each framework that agents use is installed; those that none uses are mentioned if they are there."""
    environments = FrameworkEnvironments(root / configuration.runtime.state_directory, root)
    for framework in Framework:
        users = [agent.id for agent in configuration.agents if agent.framework is framework]
        state = environments.state(framework)
        if users or state.version:
            yield _result(state, users)


def _result(state: FrameworkState, users: list[str]) -> CheckResult:
    name = state.framework.value
    install = f"orchestrator agents install {name}"
    if not state.version:
        return problem(name, f"not installed, and {', '.join(users)} cannot work without it", install)
    found = f"{state.framework.package} {state.version} with {len(state.packages)} packages in {state.folder}"
    return warning(name, f"{found}, of another release", install) if state.outdated else ok(name, found)

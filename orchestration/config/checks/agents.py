"""Agents: unique ids, known tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration
from orchestration.config.tool_names import SHIPPED_TOOLS, is_foreign, known_tools


def check(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Every id is unique, and every tool exists."""
    seen: set[str] = set()
    known = known_tools(configuration)
    for index, agent in enumerate(configuration.agents):
        if agent.id in seen:
            yield Problem(FindingCode.DUPLICATE_AGENT, ("agents", index, "id"), f'there are two agents "{agent.id}"')
        seen.add(agent.id)
        for place, tool in enumerate(agent.tools):
            if tool not in known and not is_foreign(configuration, tool):
                path = ("agents", index, "tools", place)
                hint = suggest(tool, known)
                yield Problem(
                    FindingCode.UNKNOWN_TOOL, path, f'"{agent.id}" lists the unknown tool "{tool}"', hint=hint
                )
    yield from _check_own_tools(configuration)


def _check_own_tools(configuration: Configuration) -> Iterator[Problem]:
    agents = [agent.id for agent in configuration.agents]
    for name, tool in configuration.tools.items():
        if name in SHIPPED_TOOLS:
            message = f'"{name}" is the name of a tool that ships'
            yield Problem(FindingCode.RESERVED_TOOL, ("tools", name), message, hint="Give yours another name.")
        for place, agent in enumerate(tool.agents):
            if agent not in agents:
                path = ("tools", name, "agents", place)
                message = f'there is no agent "{agent}"'
                yield Problem(FindingCode.UNKNOWN_AGENT, path, message, hint=suggest(agent, agents))

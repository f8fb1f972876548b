"""Agents: unique ids, known tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration

# Repeated here, because the tools are in a layer above this one.
KNOWN_TOOLS = frozenset(
    {
        *("read_file", "list_files", "search_files", "repository_map"),
        *("write_file", "replace_in_file", "apply_patch", "delete_file", "move_file", "undo_edit"),
        *("run_command", "read_output"),
    }
)


def check(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Every id is unique, and every tool exists."""
    seen: set[str] = set()
    for index, agent in enumerate(configuration.agents):
        if agent.id in seen:
            yield Problem(FindingCode.DUPLICATE_AGENT, ("agents", index, "id"), f'there are two agents "{agent.id}"')
        seen.add(agent.id)
        for place, tool in enumerate(agent.tools):
            if tool not in KNOWN_TOOLS:
                path = ("agents", index, "tools", place)
                hint = suggest(tool, KNOWN_TOOLS)
                yield Problem(
                    FindingCode.UNKNOWN_TOOL, path, f'"{agent.id}" lists the unknown tool "{tool}"', hint=hint
                )

"""What was declared in code, as the file that every other part of the system reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration.declarations.agent import Agent, AgentFunction
from orchestration.declarations.budget import Budget
from orchestration.declarations.provider import Provider
from orchestration.declarations.reference import CodeReference
from orchestration.declarations.sections import merged, without_empty
from orchestration.declarations.tool import ToolFunction
from orchestration.errors import UsageError

FILE = Path("config", "agents.config.json")
# Says of a file that it may be written over.
_WRITTEN_BY = "python"

AnyAgent = Agent | AgentFunction[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A whole project as it was declared. `settings` are further keys of the configuration, which win."""

    name: str = "agents"
    agents: Sequence[AnyAgent] = ()
    tools: Sequence[ToolFunction[..., Any]] = ()
    providers: Sequence[Provider] = ()
    workflow: Sequence[tuple[str, str]] = ()
    budget: Budget = field(default_factory=Budget)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.agents or self.tools or self.providers or self.workflow or self.settings)

    def document(self) -> dict[str, Any]:
        """The configuration. Raises UsageError for a function that no other process can import."""
        providers = self.providers or (Provider.rehearsal(),)
        tools = self._tools()
        references = (*(tool.reference for tool in tools), *(one.reference for one in self.agents))
        declared = {
            "metadata": {"name": self.name, "writtenBy": _WRITTEN_BY},
            "runtime": {
                "defaultProvider": providers[0].name,
                **without_empty(
                    {
                        "fallbackProviders": [one.name for one in providers[1:]],
                        "limits": self.budget.section(),
                        "pythonPath": _folders(references),
                    }
                ),
                **{one.name: one.section() for one in providers},
            },
            "models": {one.name: [model.section() for model in one.known_models] for one in providers},
            "tools": {tool.name: tool.section() for tool in tools},
            "agents": [one.section() for one in self.agents],
            "workflow": [{"from": source, "to": target} for source, target in self.workflow],
        }
        return merged(without_empty(declared), self.settings)

    def _tools(self) -> tuple[ToolFunction[..., Any], ...]:
        found = (*self.tools, *(tool for agent in self.agents for tool in agent.own_tools))
        by_name: dict[str, ToolFunction[..., Any]] = {}
        for tool in found:
            if by_name.setdefault(tool.name, tool) is not tool:
                raise UsageError(f"Two tools are called '{tool.name}'. Give one of them another name.")
        return tuple(by_name.values())


def _folders(references: Sequence[CodeReference | None]) -> list[str]:
    found = (str(one.folder) for one in references if one is not None and one.folder is not None)
    return list(dict.fromkeys(found))


def write(folder: Path, declaration: Declaration) -> Path:
    """Write the configuration of a project; returns the file. One that says the same already is left alone. Raises
    UsageError where a person's file is."""
    from orchestration.config.textfile import replace_text

    path = folder / FILE
    text = json.dumps(declaration.document(), indent=2, ensure_ascii=False) + "\n"
    before = _read(path)
    if before == text:
        return path
    if before and not _is_ours(before):
        raise UsageError(
            f"{path} was written by hand, and this project declares its agents in code. Name another folder, or use "
            f"what is there: Project({os.fspath(folder)!r}) without agents."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, text)
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _is_ours(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("metadata", {}).get("writtenBy") == _WRITTEN_BY

"""Agents: those that ask a model, and functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar, overload

from orchestration.declarations.budget import Budget
from orchestration.declarations.reference import CodeReference, reference_to
from orchestration.declarations.sections import camel, without_empty
from orchestration.declarations.tool import ToolFunction

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class _AgentFields:
    description: str = ""
    role: str | None = None
    outputs: Sequence[str] = ()
    requires: Sequence[str] = ()
    budget: Budget = field(default_factory=Budget)

    def common_section(self) -> dict[str, Any]:
        return {
            "description": self.description,
            "role": self.role,
            "outputs": list(self.outputs),
            "requires": list(self.requires),
            "limits": self.budget.section(),
        }


@dataclass(frozen=True, slots=True)
class Agent(_AgentFields):
    """An agent that asks a model. Agents called `planner`, `executor` or `reviewer` have that role by their name; any
    other delivers one text. `tools` are names of tools, or functions that are tools; `requires` names the documents of
    other agents that it waits for. `parameters` are those of each request, such as `temperature`."""

    id: str
    model: str | None = None
    provider: str | None = None
    prompt: str = ""
    tools: Sequence[str | ToolFunction[..., Any]] = ()
    commands: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own_tools(self) -> tuple[ToolFunction[..., Any], ...]:
        """The tools that are functions."""
        return tuple(tool for tool in self.tools if isinstance(tool, ToolFunction))

    @property
    def reference(self) -> CodeReference | None:
        return None

    def section(self) -> dict[str, Any]:
        """The agent as the configuration has it."""
        return {
            "id": self.id,
            **without_empty(
                {
                    **self.common_section(),
                    "defaultModel": self.model,
                    "provider": self.provider,
                    "prompt": inspect.cleandoc(self.prompt),
                    "tools": [tool if isinstance(tool, str) else tool.name for tool in self.tools],
                    "commands": list(self.commands),
                    "parameters": {camel(name): value for name, value in self.parameters.items()},
                }
            ),
        }


@dataclass(frozen=True, slots=True)
class AgentFunction(_AgentFields, Generic[P, R]):
    """An agent that is a function of yours. It runs in a process of its own, as one checkpoint, and can be called like
    any function, too."""

    id: str
    function: Callable[P, R]

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        return self.function(*arguments, **named)

    @property
    def own_tools(self) -> tuple[ToolFunction[..., Any], ...]:
        return ()

    @property
    def reference(self) -> CodeReference:
        """Where the function is. Raises UsageError."""
        return reference_to(self.function)

    def section(self) -> dict[str, Any]:
        """The agent as the configuration has it. Raises UsageError for a function that cannot be imported."""
        return {"id": self.id, **without_empty(self.common_section()), "entryPoint": self.reference.entry_point}


@overload
def agent(function: Callable[P, R], /) -> AgentFunction[P, R]: ...


@overload
def agent(
    *,
    id: str | None = None,
    role: str | None = None,
    outputs: Sequence[str] = (),
    requires: Sequence[str] = (),
    budget: Budget = ...,
) -> Callable[[Callable[P, R]], AgentFunction[P, R]]: ...


def agent(
    function: Callable[P, R] | None = None,
    /,
    *,
    id: str | None = None,  # noqa: A002 (its name in the configuration)
    role: str | None = None,
    outputs: Sequence[str] = (),
    requires: Sequence[str] = (),
    budget: Budget = Budget(),  # noqa: B008 (immutable)
) -> AgentFunction[P, R] | Callable[[Callable[P, R]], AgentFunction[P, R]]:
    """Make an agent of a function, which receives a `Task` and returns its text, or an answer in the form of its role.

    Its id is the function's name, its description the docstring's first line, and its document `ID.md`, unless given.
    """

    def declare(given: Callable[P, R]) -> AgentFunction[P, R]:
        name = id or given.__name__
        return AgentFunction(
            name,
            given,
            description=_first_line(given),
            role=role,
            outputs=tuple(outputs) or (f"{name}.md",),
            requires=requires,
            budget=budget,
        )

    return declare if function is None else declare(function)


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]

"""Tools that are functions of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, overload

from orchestration.declarations.parameters import schema_of
from orchestration.declarations.reference import CodeReference, reference_to
from orchestration.declarations.sections import without_empty

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFunction(Generic[P, R]):
    """A function that agents may call. It runs in a process of its own with its limits, and can be called like any
    function, too."""

    name: str
    function: Callable[P, R]
    description: str = ""
    reads_only: bool = False
    idempotent: bool = False
    approval: bool = False
    agents: Sequence[str] = ()
    variables: Sequence[str] = ()
    seconds: float | None = None
    output_bytes: int | None = None
    memory_mb: int | None = None

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        return self.function(*arguments, **named)

    @property
    def reference(self) -> CodeReference:
        """Where the function is. Raises UsageError."""
        return reference_to(self.function)

    def described(self) -> dict[str, Any]:
        """What the function itself says: its description and its parameters. Raises UsageError."""
        return {"description": self.description, "parameters": schema_of(self.function)}

    def section(self) -> dict[str, Any]:
        """The tool as the configuration has it. Raises UsageError."""
        limits = {"seconds": self.seconds, "outputBytes": self.output_bytes, "memoryMb": self.memory_mb}
        return {
            "entryPoint": self.reference.entry_point,
            **self.described(),
            **without_empty(
                {
                    "readsOnly": self.reads_only or None,
                    "idempotent": self.idempotent or None,
                    "approval": self.approval or None,
                    "agents": list(self.agents),
                    "variables": list(self.variables),
                    "limits": without_empty(limits),
                }
            ),
        }


@overload
def tool(function: Callable[P, R], /) -> ToolFunction[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    reads_only: bool = False,
    idempotent: bool = False,
    approval: bool = False,
    agents: Sequence[str] = (),
    variables: Sequence[str] = (),
    seconds: float | None = None,
    output_bytes: int | None = None,
    memory_mb: int | None = None,
) -> Callable[[Callable[P, R]], ToolFunction[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    reads_only: bool = False,
    idempotent: bool = False,
    approval: bool = False,
    agents: Sequence[str] = (),
    variables: Sequence[str] = (),
    seconds: float | None = None,
    output_bytes: int | None = None,
    memory_mb: int | None = None,
) -> ToolFunction[P, R] | Callable[[Callable[P, R]], ToolFunction[P, R]]:
    """Make a tool of a function: its annotations are the types of the parameters, its docstring what the model reads.

    A tool that `reads_only` may run beside others. Only an `idempotent` one is called again after it failed, or after
    its process died; `approval` asks a person before each call. `agents` are those that may use it, all that list it
    if empty; `variables` names what it needs of `.env`. The limits are of one call.
    """

    def declare(given: Callable[P, R]) -> ToolFunction[P, R]:
        return ToolFunction(
            name=name or given.__name__,
            function=given,
            description=inspect.getdoc(given) or "",
            reads_only=reads_only,
            idempotent=idempotent,
            approval=approval,
            agents=tuple(agents),
            variables=tuple(variables),
            seconds=seconds,
            output_bytes=output_bytes,
            memory_mb=memory_mb,
        )

    return declare if function is None else declare(function)

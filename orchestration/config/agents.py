"""The agents, and the documents that they pass on to one another."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field, model_validator
from pydantic_core import PydanticKnownError

from orchestration.config.models import ModelParameters
from orchestration.config.section import Identifier, Section
from orchestration.config.usage_limits import UsageLimits
from orchestration.domain.framework import Framework


class AgentRole(StrEnum):
    """The part that an agent plays in a run."""

    PLANNER = "planner"
    EXECUTOR = "executor"
    REVIEWER = "reviewer"
    WORKER = "worker"


def _checked_entry_point(value: object) -> object:
    """One error at the key itself; a union would report one for each of its types, below keys that no file has."""
    if isinstance(value, str):
        well_formed = re.fullmatch(_FUNCTION, value) is not None
    else:
        well_formed = isinstance(value, list | tuple) and bool(value) and all(map(_is_word, value)) and bool(value[0])
    if not well_formed:
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": _FUNCTION})
    return value


def _is_word(value: object) -> bool:
    # The kernel takes no longer word, and ends each at a NUL (execve(2)).
    return isinstance(value, str) and len(value) < _LONGEST_WORD and "\0" not in value


_FUNCTION = r"^[\w.]+:[\w.]+$"
_LONGEST_WORD = 131_072
EntryPoint = Annotated[
    Annotated[str, Field(pattern=_FUNCTION)] | Annotated[tuple[str, ...], Field(min_length=1)],
    BeforeValidator(_checked_entry_point),
]


class AgentSettings(Section):
    """One agent: its role, its model, its tools, its limits.

    With `entryPoint`, code of one's own takes the place of a model: `module:function`, or the words of a command line,
    run without a shell. With a `framework`, it is `module:object`: a crew, a graph or an agent of that framework. With
    `runsOn`, only workers with that label work on it.
    """

    id: Identifier
    description: str = ""
    role: AgentRole | None = None
    default_model: str | None = None
    provider: str | None = None
    tools: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    limits: UsageLimits = UsageLimits()
    entry_point: EntryPoint | None = None
    framework: Framework | None = None
    runs_on: Identifier | None = None
    prompt: str | None = None
    # They win over those of the model.
    parameters: ModelParameters = ModelParameters()

    @model_validator(mode="after")
    def _framework_has_an_object(self) -> AgentSettings:
        # Without one it would be taken for an agent that asks a model by itself.
        if self.framework is not None and self.function is None:
            raise ValueError("an `entryPoint` of the form module:object beside `framework`")
        return self

    @property
    def function(self) -> str | None:
        """`module:function` or `module:object` of one's own; None for any other agent."""
        return self.entry_point if isinstance(self.entry_point, str) else None

    @property
    def program(self) -> tuple[str, ...]:
        """The command line that is the agent; empty for any other agent."""
        return self.entry_point if isinstance(self.entry_point, tuple) else ()

    @property
    def effective_role(self) -> AgentRole:
        """The role; agents called `planner`, `executor` or `reviewer` have it by their name."""
        if self.role is not None:
            return self.role
        known = {role.value: role for role in AgentRole}
        return known.get(self.id, AgentRole.WORKER)


class WorkflowEdge(Section):
    """`to` starts when `from` has produced `artifact`."""

    source: str = Field(alias="from", validation_alias=AliasChoices("from", "source"))
    target: str = Field(alias="to", validation_alias=AliasChoices("to", "target"))
    artifact: str | None = None

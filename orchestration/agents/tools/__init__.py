"""The tools of agents. Each takes typed arguments and returns text for the model."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestration.agents.sandbox import SandboxLimits
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.security.safe_folder import SafeFolder


class Arguments(BaseModel):
    """The arguments of a tool. Unknown keys are refused, so that the model learns of its mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunNotes(Protocol):
    """What the tools of one run remember outside its workspace."""

    def save(self, name: str, text: str) -> None:
        """Keep a text under a name, in the place of an earlier one."""
        ...

    def load(self, name: str) -> str | None:
        """The text of that name; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool works with. `on_output` receives what a command prints, as it comes: a sign of progress."""

    folder: SafeFolder
    commands: Sequence[str]
    limits: SandboxLimits
    on_output: Callable[[str], None]
    notes: RunNotes


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool: text for the model, `data` for us."""

    text: str
    ok: bool = True
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool: name, arguments, function. Tools that only read may run concurrently."""

    name: str
    description: str
    arguments: type[Arguments]
    run: Callable[[ToolContext, Any], Awaitable[ToolResult]]
    reads_only: bool

    def schema(self) -> dict[str, Any]:
        """The tool in the form of an OpenAI request."""
        parameters = self.arguments.model_json_schema()
        parameters.pop("title", None)
        parameters.pop("description", None)
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


class BadArgumentsError(ValueError):
    """A model called a tool incorrectly; the message tells it how to do better."""


def parse_arguments(tool: AgentTool, text: str) -> Arguments:
    """A model's arguments, checked. Raises BadArgumentsError."""
    try:
        values = sound_value(json.loads(text or "{}"))
    except (ValueError, RecursionError) as error:
        raise BadArgumentsError(
            f"expected the arguments of {tool.name} as a JSON object, got no JSON: {error}"
        ) from error
    try:
        return tool.arguments.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise BadArgumentsError(f"the arguments of {tool.name} are wrong: {problems}") from error

"""The tools of agents. Each takes typed arguments and returns text for the model."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestration.agents.sandbox import SandboxLimits
from orchestration.config.agents import AgentSettings
from orchestration.declarations.task import Call
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.security.safe_folder import SafeFolder
from orchestration.security.scan import Find
from orchestration.security.secret_search import SecretMatch


class Arguments(BaseModel):
    """The arguments of a tool. Unknown keys are refused, so that the model learns of its mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AnyArguments(Arguments):
    """Arguments that are described by a schema of their own, and checked by whatever carries out the call."""

    model_config = ConfigDict(extra="allow", frozen=True)


class RunNotes(Protocol):
    """What the tools of one run remember outside its workspace."""

    def save(self, name: str, text: str) -> None:
        """Keep a text under a name, in the place of an earlier one."""
        ...

    def load(self, name: str) -> str | None:
        """The text of that name; None if there is none."""
        ...


def _find_nothing(_text: str) -> list[SecretMatch]:
    return []


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool works with. `on_output` receives what a command prints, as it comes: a sign of progress. `call` says
    which call this is; the same one, if it is repeated after a crash, has the same key. `find` finds the secrets in a
    text, which agents see as marks."""

    folder: SafeFolder
    commands: Sequence[str]
    limits: SandboxLimits
    on_output: Callable[[str], None]
    notes: RunNotes
    call: Call | None = None
    find: Find = _find_nothing


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool: text for the model, `data` for us."""

    text: str
    ok: bool = True
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool: name, arguments, function. Tools that only read may run concurrently.

    `parameters` is the schema of a tool from outside, in the place of that of `arguments`. One that is not `repeatable`
    is never called twice for one request of a model; with `approval`, a person is asked before each call.
    """

    name: str
    description: str
    arguments: type[Arguments]
    run: Callable[[ToolContext, Any], Awaitable[ToolResult]]
    reads_only: bool
    parameters: Mapping[str, Any] | None = None
    repeatable: bool = True
    approval: bool = False

    def schema(self) -> dict[str, Any]:
        """The tool in the form of an OpenAI request."""
        parameters = dict(self.parameters) if self.parameters is not None else self.arguments.model_json_schema()
        parameters.pop("title", None)
        parameters.pop("description", None)
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


class ToolSource(Protocol):
    """Where tools come from that do not ship."""

    async def offered(self, agent: AgentSettings, folder: Path) -> Sequence[AgentTool]:
        """The tools that an agent may use now in a folder; those that cannot be used are left out."""
        ...

    async def find(self, agent: AgentSettings, name: str, folder: Path) -> AgentTool | None:
        """The tool of that name, if the agent may use it. Raises ToolUnavailableError if it cannot be used now."""
        ...


class ToolUnavailableError(Exception):
    """A tool exists and cannot be used now; the message tells the model why."""


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

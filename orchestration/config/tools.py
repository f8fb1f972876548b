"""Tools of one's own, and servers of the Model Context Protocol."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from orchestration.config.section import EnvironmentName, PositiveSeconds, Section

# A part of the names of its tools, which have 64 characters at most.
McpServerName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,30}$")]
# What every vendor accepts as the name of a function.
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]


class ToolLimits(Section):
    """The limits of one call of a tool."""

    seconds: PositiveSeconds | None = None
    output_bytes: Annotated[int, Field(ge=256, le=1_000_000)] | None = None
    memory_mb: Annotated[int, Field(ge=32)] | None = None


class ToolSettings(Section):
    """A tool of your own: a Python function, which runs in a process of its own.

    `description` and `parameters` (a JSON Schema) are what the model is shown; without them, the function's docstring
    and annotations are. A tool that `readsOnly` may run beside others. Only one that is `idempotent`, or reads only,
    is called again after a failure or a crash. `approval` asks a person before each call. `agents` are those that may
    use it, all that list it if empty; `variables` are the names of variables of `.env` or the environment that it gets.
    """

    entry_point: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")]
    description: str = ""
    parameters: dict[str, Any] | None = None
    reads_only: bool = False
    idempotent: bool = False
    approval: bool = False
    agents: tuple[str, ...] = ()
    variables: tuple[EnvironmentName, ...] = ()
    limits: ToolLimits = ToolLimits()


class McpServerSettings(Section):
    """A server of the Model Context Protocol whose tools agents may use, under the names `SERVER__TOOL`.

    It is a `command`, which runs isolated in the workspace of the run, or has a `url`. `variables` are the variables
    of `.env` or the environment that a command gets; `tokenEnv` is the one whose value is sent as a bearer token, and
    `headersEnv` those of further headers. In `tools`, `approval`, `readsOnly` and `idempotent` are names of its tools,
    or patterns such as `search_*`: which may be used (all if empty), before which a person is asked, which change
    nothing, and which may be called again when a call has failed. `agents` are those that may use the server, all that
    list its tools if empty. What the server itself says about that is not believed.
    """

    command: tuple[str, ...] = ()
    url: str | None = None
    enabled: bool = True
    variables: tuple[EnvironmentName, ...] = ()
    token_env: EnvironmentName | None = None
    headers_env: dict[str, EnvironmentName] = Field(default_factory=dict)
    network: bool = True
    tools: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()
    reads_only: tuple[str, ...] = ()
    idempotent: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    limits: ToolLimits = ToolLimits()

    @model_validator(mode="after")
    def _has_one_address(self) -> McpServerSettings:
        if bool(self.command) == bool(self.url):
            raise ValueError("a command, or a url, and not both")
        return self

"""Running a command in the workspace."""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import BeforeValidator, Field

from orchestration.agents import sandbox
from orchestration.agents.tools import AgentTool, Arguments, ToolContext, ToolResult
from orchestration.security.permissions import checked_command


def _split(value: object) -> object:
    """Accept a command as one line, too, which models like to write."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"expected a list of words, got one line with a fault in it: {error}") from error


class CommandArguments(Arguments):
    command: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        min_length=1, description="The command as a list of words, run without a shell in the workspace's root."
    )


async def _run(context: ToolContext, arguments: CommandArguments) -> ToolResult:
    command = checked_command(arguments.command, context.commands)
    result = await sandbox.run(command, context.folder.root, context.limits, on_output=context.on_output)
    verdict = f"stopped: {result.stopped}" if result.stopped else f"exit code {result.exit_code}"
    data = {"command": list(command), "exit_code": result.exit_code, "output": result.output, "stopped": result.stopped}
    return ToolResult(f"{result.output.rstrip()}\n[{verdict}]".lstrip(), ok=result.ok, data=data)


TOOLS = (
    AgentTool(
        "run_command",
        "Run one of the allowed commands, for example the tests. There is no shell: no pipes, no redirection.",
        CommandArguments,
        _run,
        reads_only=False,
    ),
)

"""Running a command in the workspace."""

from __future__ import annotations

import hashlib
import shlex
from typing import Annotated

import anyio.to_thread
from pydantic import BeforeValidator, Field

from orchestration.agents import sandbox
from orchestration.agents.tools import AgentTool, Arguments, ToolContext, ToolResult
from orchestration.agents.tools.excerpt import head_and_end
from orchestration.agents.tools.files import shown
from orchestration.agents.tools.line_match import split_lines
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.security.permissions import checked_command

# About 5,000 tokens. Test runners print their verdict last, so that most of it goes to the end.
_MOST_CHARACTERS = 16_000
_HEAD_SHARE = 0.25
_LONGEST_LINE = 1000


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


class OutputArguments(Arguments):
    output: str = Field(description="The name of the output, as run_command gave it.")
    start_line: int = Field(default=1, ge=1, description="The first line to read.")
    end_line: int | None = Field(default=None, ge=1, description="The last line to read.")


async def _run(context: ToolContext, arguments: CommandArguments) -> ToolResult:
    command = checked_command(arguments.command, context.commands)
    result = await sandbox.run(command, context.folder.root, context.limits, on_output=context.on_output)
    verdict = f"stopped: {result.stopped}" if result.stopped else f"exit code {result.exit_code}"
    data = {
        "command": list(command),
        "exit_code": result.exit_code,
        "output": result.output,
        "stopped": result.stopped,
        "hosts": result.hosts,
    }
    output = await anyio.to_thread.run_sync(_excerpt, context, result.output.rstrip())
    refused = ", ".join(str(use) for use in result.hosts if not use.permitted)
    verdict += f"; these hosts may not be reached: {refused}" if refused else ""
    return ToolResult(f"{output}\n[{verdict}]".lstrip(), ok=result.ok, data=data)


def _excerpt(context: ToolContext, output: str) -> str:
    """The head and the end of an output that is too long, and how to read the rest."""
    lines = split_lines(output)
    first, last = head_and_end(lines, _MOST_CHARACTERS, _HEAD_SHARE)
    if first == last:
        return output if len(output) <= 2 * _MOST_CHARACTERS else "\n".join(map(_short, lines))
    name = hashlib.sha256(output.encode("utf-8", "replace")).hexdigest()[:8]
    context.notes.save(_note(name), output)
    way = f'read them with read_output, output="{name}", start_line={first + 1}'
    gap = f"[… lines {first + 1} to {last} of {len(lines)} left out; {way}]"
    return "\n".join([*map(_short, lines[:first]), gap, *map(_short, lines[last:])])


def _short(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    half = _LONGEST_LINE // 2
    return f"{line[:half]}[… {len(line) - _LONGEST_LINE:,} more]{line[-half:]}"


async def _read_output(context: ToolContext, arguments: OutputArguments) -> ToolResult:
    text = await anyio.to_thread.run_sync(context.notes.load, _note(arguments.output))
    if text is None:
        return ToolResult(f"there is no output '{arguments.output}'; run the command again", ok=False)
    return shown(split_lines(sound_value(text)), arguments.start_line, arguments.end_line)


def _note(name: str) -> str:
    return f"output:{name}"


TOOLS = (
    AgentTool(
        "run_command",
        "Run one of the allowed commands, for example the tests. There is no shell: no pipes, no redirection.",
        CommandArguments,
        _run,
        reads_only=False,
    ),
    AgentTool(
        "read_output",
        "Read the part of a command's output that run_command left out.",
        OutputArguments,
        _read_output,
        reads_only=True,
    ),
)

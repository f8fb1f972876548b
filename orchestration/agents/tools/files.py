"""Reading the files of the workspace."""

from __future__ import annotations

from itertools import islice

import anyio.to_thread
from pydantic import Field

from orchestration.agents.tools import AgentTool, Arguments, ToolContext, ToolResult
from orchestration.agents.tools.edit_history import MOST_BYTES
from orchestration.agents.tools.excerpt import fitting, head_and_end, numbered
from orchestration.agents.tools.line_match import split_lines
from orchestration.providers.dialects.surrogates import sound_value

# About 8,000 tokens: more crowds everything else out of a model's context.
_MOST_CHARACTERS = 24_000
# Of a whole file that is too long, what is shown of its beginning: imports and the first definitions.
_HEAD_SHARE = 0.75
_MOST_ENTRIES = 500
# Git decides by nearly the same rule whether a file is text: no zero byte in its first 8,000 bytes.
_LOOKED_AT = 8192


class ReadArguments(Arguments):
    path: str = Field(description="The file, relative to the workspace.")
    start_line: int = Field(default=1, ge=1, description="The first line to read.")
    end_line: int | None = Field(default=None, ge=1, description="The last line to read.")


class ListArguments(Arguments):
    path: str = Field(default=".", description="The folder, relative to the workspace.")
    depth: int = Field(default=4, ge=1, le=20, description="How many levels deep.")


def is_text(data: bytes) -> bool:
    """Whether the content of a file is text."""
    return b"\0" not in data[:_LOOKED_AT]


async def _read(context: ToolContext, arguments: ReadArguments) -> ToolResult:
    data = await anyio.to_thread.run_sync(context.folder.read, arguments.path, MOST_BYTES + 1)
    if not is_text(data):
        return ToolResult(f"{arguments.path} is not text", ok=False)
    lines = split_lines(sound_value(data[:MOST_BYTES].decode("utf-8", "replace")))
    rest = f"\n[… only the first {MOST_BYTES:,} bytes of it can be read; use search_files for the rest]"
    return shown(lines, arguments.start_line, arguments.end_line, rest if len(data) > MOST_BYTES else "")


def shown(lines: list[str], first: int, last: int | None, rest: str = "") -> ToolResult:
    """Some or all lines with their numbers. What is too long is left out in the middle, or of a range at its end, with
    the line from which to read on."""
    if not lines:
        return ToolResult("(the file is empty)")
    count = len(lines)
    end = min(last or count, count)
    if first > end:
        return ToolResult(f"there is nothing from line {first} to {end}: the file has {count} lines{rest}", ok=False)
    chosen = lines[first - 1 : end]
    if first > 1 or (last is not None and last < count):
        fits = fitting(chosen, _MOST_CHARACTERS)
        reached = first + fits - 1
        on = "" if fits == len(chosen) else f"\n[… {end - reached} more lines; read on with start_line={reached + 1}]"
        return ToolResult(numbered(chosen[:fits], first) + on + (rest if reached == count else ""))
    head, tail = head_and_end(chosen, _MOST_CHARACTERS, _HEAD_SHARE)
    if head == tail:
        return ToolResult(numbered(chosen, 1) + rest)
    gap = f"\n[… lines {head + 1} to {tail} of {count} left out; read them with start_line={head + 1}]\n"
    return ToolResult(f"{numbered(chosen[:head], 1)}{gap}{numbered(chosen[tail:], tail + 1)}{rest}")


async def _list(context: ToolContext, arguments: ListArguments) -> ToolResult:
    def walk() -> list[str]:
        return list(islice(context.folder.walk(arguments.path, arguments.depth), _MOST_ENTRIES + 1))

    entries = sound_value(await anyio.to_thread.run_sync(walk))
    cut = "\n[… more; list a folder below, or with less depth]" if len(entries) > _MOST_ENTRIES else ""
    return ToolResult("\n".join(entries[:_MOST_ENTRIES]) + cut or "(nothing here)")


TOOLS = (
    AgentTool(
        "read_file",
        "Read a text file, whole or some of its lines. Each line comes with its number and a tab, which are not part "
        "of the file.",
        ReadArguments,
        _read,
        reads_only=True,
    ),
    AgentTool(
        "list_files", "List the files below a folder; folders end in a slash.", ListArguments, _list, reads_only=True
    ),
)

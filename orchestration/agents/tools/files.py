"""Reading and writing files of the workspace."""

from __future__ import annotations

from itertools import islice

import anyio.to_thread
from pydantic import Field

from orchestration.agents.text import sound
from orchestration.agents.tools import AgentTool, Arguments, ToolContext, ToolResult

# About 15,000 tokens: more crowds everything else out of a model's context.
_MOST_BYTES = 1_000_000
_MOST_CHARACTERS = 60_000
_MOST_ENTRIES = 500
# Git decides by nearly the same rule whether a file is text: no zero byte in its first 8,000 bytes.
_LOOKED_AT = 8192


class ReadArguments(Arguments):
    path: str = Field(description="The file, relative to the workspace.")
    start_line: int = Field(default=1, ge=1, description="The first line to read.")
    end_line: int | None = Field(default=None, ge=1, description="The last line to read.")


class WriteArguments(Arguments):
    path: str = Field(description="The file, relative to the workspace; missing folders are made.")
    content: str = Field(description="The whole new content.")


class ReplaceArguments(Arguments):
    path: str = Field(description="The file, relative to the workspace.")
    old: str = Field(min_length=1, description="Text that stands in the file exactly once.")
    new: str = Field(description="What to put in its place.")


class ListArguments(Arguments):
    path: str = Field(default=".", description="The folder, relative to the workspace.")
    depth: int = Field(default=4, ge=1, le=20, description="How many levels deep.")


async def _read(context: ToolContext, arguments: ReadArguments) -> ToolResult:
    data = await anyio.to_thread.run_sync(context.folder.read, arguments.path, _MOST_BYTES + 1)
    if b"\0" in data[:_LOOKED_AT]:
        return ToolResult(f"{arguments.path} is not text", ok=False)
    lines = data[:_MOST_BYTES].decode("utf-8", "replace").splitlines(keepends=True)
    first, last = arguments.start_line, min(arguments.end_line or len(lines), len(lines))
    rest = f"\n[… only the first {_MOST_BYTES:,} bytes of it can be read; use search_files for the rest]"
    rest = rest if len(data) > _MOST_BYTES else ""
    if not lines:
        return ToolResult("(the file is empty)")
    if first > last:
        return ToolResult(
            f"there is nothing from line {first} to {last}: the file has {len(lines)} lines{rest}", ok=False
        )
    text = "".join(lines[first - 1 : last])
    if len(text) <= _MOST_CHARACTERS:
        return ToolResult(text + (rest if last == len(lines) else ""))
    text = text[:_MOST_CHARACTERS]
    reached = first + len(text.splitlines()) - 1
    return ToolResult(f"{text}\n[… cut in line {reached} of {len(lines)}; read on with start_line={reached}]{rest}")


async def _write(context: ToolContext, arguments: WriteArguments) -> ToolResult:
    changed = await anyio.to_thread.run_sync(context.folder.write, arguments.path, arguments.content.encode())
    what = "wrote" if changed else "left as it was, with the same content,"
    return ToolResult(f"{what} {arguments.path} ({len(arguments.content.splitlines())} lines)")


async def _replace(context: ToolContext, arguments: ReplaceArguments) -> ToolResult:
    data = await anyio.to_thread.run_sync(context.folder.read, arguments.path, _MOST_BYTES + 1)
    if len(data) > _MOST_BYTES or b"\0" in data[:_LOOKED_AT]:
        what = "not text" if len(data) <= _MOST_BYTES else f"larger than {_MOST_BYTES:,} bytes"
        return ToolResult(f"{arguments.path} is {what}; it cannot be changed with this tool", ok=False)
    # Bytes that are not UTF-8 are written back unchanged.
    text = data.decode("utf-8", "surrogateescape")
    count = text.count(arguments.old)
    if _is_done(text, arguments):
        # A step that was interrupted runs again, and may find its work done.
        return ToolResult(f"{arguments.path} holds the new text already; nothing was changed")
    if count != 1:
        found = "not found" if count == 0 else f"found {count} times"
        return ToolResult(
            f"expected `old` to stand in {arguments.path} exactly once, but it was {found}; "
            "read the file and give a longer or more exact piece of it",
            ok=False,
        )
    changed = text.replace(arguments.old, arguments.new).encode("utf-8", "surrogateescape")
    await anyio.to_thread.run_sync(context.folder.write, arguments.path, changed)
    return ToolResult(f"replaced in {arguments.path}")


def _is_done(text: str, arguments: ReplaceArguments) -> bool:
    """Whether the new text is there, and the old text only within it."""
    old, new = arguments.old, arguments.new
    return bool(new) and new in text and text.count(old) == text.count(new) * new.count(old)


async def _list(context: ToolContext, arguments: ListArguments) -> ToolResult:
    def walk() -> list[str]:
        return list(islice(context.folder.walk(arguments.path, arguments.depth), _MOST_ENTRIES + 1))

    entries = sound(await anyio.to_thread.run_sync(walk))
    cut = "\n[… more; list a folder below, or with less depth]" if len(entries) > _MOST_ENTRIES else ""
    return ToolResult("\n".join(entries[:_MOST_ENTRIES]) + cut or "(nothing here)")


TOOLS = (
    AgentTool("read_file", "Read a text file, whole or some of its lines.", ReadArguments, _read, reads_only=True),
    AgentTool(
        "list_files", "List the files below a folder; folders end in a slash.", ListArguments, _list, reads_only=True
    ),
    AgentTool(
        "write_file",
        "Write a whole file, new or in the place of what was there.",
        WriteArguments,
        _write,
        reads_only=False,
    ),
    AgentTool(
        "replace_in_file",
        "Replace one piece of a file. The piece must stand in it exactly once.",
        ReplaceArguments,
        _replace,
        reads_only=False,
    ),
)

"""Reading and writing files of the workspace."""

from __future__ import annotations

from itertools import islice

import anyio.to_thread
from pydantic import Field

from orchestration.agents.tools import Arguments, Tool, ToolContext, ToolResult

_MOST_BYTES = 1_000_000
_MOST_CHARACTERS = 60_000
_MOST_ENTRIES = 500


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
    if b"\0" in data[:8192]:
        return ToolResult(f"{arguments.path} is not text ({len(data):,} bytes or more)", ok=False)
    lines = data[:_MOST_BYTES].decode("utf-8", "replace").splitlines(keepends=True)
    chosen = "".join(lines[arguments.start_line - 1 : arguments.end_line])
    if len(chosen) > _MOST_CHARACTERS or len(data) > _MOST_BYTES:
        chosen = chosen[:_MOST_CHARACTERS] + "\n[… cut; read the rest with start_line and end_line]"
    return ToolResult(chosen or "(the file is empty)" if lines else "(the file is empty)")


async def _write(context: ToolContext, arguments: WriteArguments) -> ToolResult:
    changed = await anyio.to_thread.run_sync(context.folder.write, arguments.path, arguments.content.encode())
    what = "wrote" if changed else "left as it was, with the same content,"
    return ToolResult(f"{what} {arguments.path} ({len(arguments.content.splitlines())} lines)")


async def _replace(context: ToolContext, arguments: ReplaceArguments) -> ToolResult:
    text = (await anyio.to_thread.run_sync(context.folder.read, arguments.path, _MOST_BYTES)).decode("utf-8", "replace")
    count = text.count(arguments.old)
    if count == 0 and arguments.new and arguments.new in text:
        # A step that was interrupted runs again: the second time finds its work done.
        return ToolResult(f"{arguments.path} holds the new text already; nothing was changed")
    if count != 1:
        found = "not found" if count == 0 else f"found {count} times"
        return ToolResult(
            f"expected `old` to stand in {arguments.path} exactly once, but it was {found}; "
            "read the file and give a longer or more exact piece of it",
            ok=False,
        )
    data = text.replace(arguments.old, arguments.new).encode()
    await anyio.to_thread.run_sync(context.folder.write, arguments.path, data)
    return ToolResult(f"replaced in {arguments.path}")


async def _list(context: ToolContext, arguments: ListArguments) -> ToolResult:
    def walk() -> list[str]:
        return list(islice(context.folder.walk(arguments.path, arguments.depth), _MOST_ENTRIES + 1))

    entries = await anyio.to_thread.run_sync(walk)
    cut = "\n[… more; list a folder below, or with less depth]" if len(entries) > _MOST_ENTRIES else ""
    return ToolResult("\n".join(entries[:_MOST_ENTRIES]) + cut or "(nothing here)")


TOOLS = (
    Tool("read_file", "Read a text file, whole or some of its lines.", ReadArguments, _read, reads_only=True),
    Tool("list_files", "List the files below a folder; folders end in a slash.", ListArguments, _list, reads_only=True),
    Tool(
        "write_file",
        "Write a whole file, new or in the place of what was there.",
        WriteArguments,
        _write,
        reads_only=False,
    ),
    Tool(
        "replace_in_file",
        "Replace one piece of a file. The piece must stand in it exactly once.",
        ReplaceArguments,
        _replace,
        reads_only=False,
    ),
)

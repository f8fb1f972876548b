"""Searching the workspace."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import Field

from orchestration.agents import sandbox
from orchestration.agents.tools import Arguments, Tool, ToolContext, ToolResult
from orchestration.security.permissions import checked_path, holds_secrets

# A regular expression can take for ever, so the search is a process that can be stopped; it imports nothing of ours.
_SCRIPT = """
import os, re, sys
pattern, top, most, skipped = sys.argv[1], sys.argv[2], int(sys.argv[3]), set(sys.argv[4].split())
try:
    expression = re.compile(pattern)
except re.error as error:
    sys.exit(f"expected a regular expression, got '{pattern}': {error}")
found = 0
for folder, folders, files in os.walk(top):
    folders[:] = sorted(set(folders) - skipped)
    for name in sorted(files):
        path = os.path.join(folder, name)
        if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 2_000_000:
            continue
        with open(path, "rb") as file:
            data = file.read()
        if b"\\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if expression.search(line):
                print(f"{os.path.relpath(path, os.getcwd())}:{number}:{line[:300]}")
                found += 1
                if found >= most:
                    sys.exit(0)
"""
_SECONDS = 20.0


class SearchArguments(Arguments):
    pattern: str = Field(min_length=1, max_length=1000, description="A regular expression, as in Python.")
    path: str = Field(default=".", description="The folder to search, relative to the workspace.")
    most: int = Field(default=100, ge=1, le=1000, description="The most lines to return.")


async def _search(context: ToolContext, arguments: SearchArguments) -> ToolResult:
    from orchestration.security.folder import SKIPPED

    top = checked_path(arguments.path, writing=False)
    command = (sys.executable, "-I", "-S", "-c", _SCRIPT, arguments.pattern, str(Path(top)), str(arguments.most))
    limits = sandbox.SandboxLimits(seconds=_SECONDS, memory_mb=512, cpu_seconds=30, output_bytes=60_000)
    result = await sandbox.run((*command, " ".join(SKIPPED)), context.folder.root, limits)
    if result.stopped is not None:
        return ToolResult(f"the search was stopped: {result.stopped}; use a simpler expression", ok=False)
    lines = [line for line in result.output.splitlines() if not holds_secrets(Path(line.partition(":")[0]).name)]
    return ToolResult("\n".join(lines) or "(nothing found)", ok=result.ok)


TOOLS = (
    Tool("search_files", "Find lines that match a regular expression.", SearchArguments, _search, reads_only=True),
)

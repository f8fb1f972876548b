"""Searching the workspace."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from pydantic import Field

from orchestration.agents import sandbox
from orchestration.agents.tools import AgentTool, Arguments, ToolContext, ToolResult
from orchestration.security.permissions import SECRET_NAMES
from orchestration.security.safe_folder import SKIPPED

# A regular expression can take exponential time and cannot be interrupted, so the search is a process that can be
# killed. It imports nothing of ours.
_SCRIPT = """
import json, os, re, stat, sys
given = json.loads(sys.argv[1])
sys.stdout.reconfigure(encoding="utf-8", errors="replace")
try:
    expression = re.compile(given["pattern"])
except (re.error, OverflowError, RecursionError) as error:
    sys.exit(f"expected a regular expression, got '{given['pattern']}': {error}".encode("utf-8", "replace").decode())
secret = re.compile(given["secret"])
found, large = 0, 0

def walk(top):
    if not stat.S_ISDIR(os.lstat(top).st_mode):
        yield os.path.dirname(top), os.path.basename(top), None
        return
    for here, folders, files, descriptor in os.fwalk(top, follow_symlinks=False):
        kept = [name for name in folders if name not in given["skipped"] and not secret.match(name.lower())]
        folders[:] = sorted(kept)
        for name in sorted(files):
            yield here, name, descriptor

for here, name, descriptor in walk(given["top"]):
    path = os.path.normpath(os.path.join(here, name))
    if secret.match(name.lower()):
        continue
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        file = open(os.open(path if descriptor is None else name, flags, dir_fd=descriptor), "rb")
    except OSError:
        continue
    with file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            continue
        if about.st_size > given["largest"]:
            large += 1
            continue
        data = file.read()
    if b"\\0" in data[:8192]:
        continue
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if expression.search(line):
            if found == given["most"]:
                print(f"[… more; stopped after {found} lines]")
                sys.exit()
            found += 1
            print(f"{path}:{number}:{line[:300]}", flush=True)
if not found:
    print("(nothing found)")
if large:
    print(f"[{large} files of more than {given['largest']:,} bytes were not searched]")
"""
_SECONDS = 20.0
_LARGEST_BYTES = 2_000_000


class SearchArguments(Arguments):
    pattern: str = Field(min_length=1, max_length=1000, description="A regular expression, as in Python.")
    path: str = Field(default=".", description="The folder or file to search, relative to the workspace.")
    most: int = Field(default=100, ge=1, le=1000, description="The most lines to return.")


async def _search(context: ToolContext, arguments: SearchArguments) -> ToolResult:
    given = {
        "pattern": arguments.pattern,
        "top": context.folder.resolved(arguments.path),
        "most": arguments.most,
        "skipped": sorted(SKIPPED),
        "secret": SECRET_NAMES,
        "largest": _LARGEST_BYTES,
    }
    command = (sys.executable, "-I", "-S", "-c", _SCRIPT, json.dumps(given))
    limits = replace(context.limits, seconds=min(_SECONDS, context.limits.seconds), memory_mb=512, output_bytes=60_000)
    result = await sandbox.run(command, context.folder.root, limits)
    if result.stopped is not None:
        so_far = f"{result.output.rstrip()}\n" if result.output.strip() else ""
        return ToolResult(
            f"{so_far}the search was stopped: {result.stopped}; use a simpler expression or search a folder below",
            ok=False,
        )
    return ToolResult(result.output.rstrip(), ok=result.ok)


TOOLS = (
    AgentTool("search_files", "Find lines that match a regular expression.", SearchArguments, _search, reads_only=True),
)

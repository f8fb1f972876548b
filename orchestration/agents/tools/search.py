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
_SCRIPT = r"""
import fnmatch, json, os, re, stat, sys
given = json.loads(sys.argv[1])
sys.stdout.reconfigure(encoding="utf-8", errors="replace")
flags = re.MULTILINE | (re.IGNORECASE if given["ignore_case"] else 0)
pattern, note = given["pattern"], ""
try:
    expression = re.compile(pattern, flags)
except (re.error, OverflowError, RecursionError) as error:
    note = f"[no regular expression ({error}); searched for the text as it is]"
    note = note.encode("utf-8", "replace").decode()
    pattern = re.escape(pattern)
    expression = re.compile(pattern, flags)
# Most files have no match: one search over a whole text says so, unless the expression could see the line ends.
whole = not re.search(r"\(\?|\\[AZSWD]|\[\^|[*+?}]\+|^\\s", pattern)
secret = re.compile(given["secret"])
wanted = re.compile(fnmatch.translate(given["files"])) if given["files"] else None
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
    if secret.match(name.lower()):
        continue
    if wanted and not (wanted.match(name) or wanted.match(os.path.normpath(os.path.join(here, name)))):
        continue
    path = name if descriptor is not None else os.path.join(here, name)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    except OSError:
        continue
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            continue
        if about.st_size > given["largest"]:
            large += 1
            continue
        data = os.read(file, about.st_size + 1)
    finally:
        os.close(file)
    if b"\0" in data[:8192]:
        continue
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if whole and not expression.search(text):
        continue
    lines = text.removesuffix("\n").split("\n")
    hits = [number for number, line in enumerate(lines) if expression.search(line)]
    shown = -1
    for number in hits:
        if found == given["most"]:
            print(f"[… more; stopped after {found} lines; narrow it with `path` or `files`]")
            if note:
                print(note)
            sys.exit()
        found += 1
        path = os.path.normpath(os.path.join(here, name))
        first, last = max(shown + 1, number - given["around"]), min(len(lines) - 1, number + given["around"])
        if given["around"] and shown >= 0 and first > shown + 1:
            print("--")
        for at in range(first, last + 1):
            mark = ":" if expression.search(lines[at]) else "-"
            print(f"{path}{mark}{at + 1}{mark}{lines[at][:300]}", flush=True)
        shown = max(shown, last)
if not found:
    print("(nothing found)")
if note:
    print(note)
if large:
    print(f"[{large} files of more than {given['largest']:,} bytes were not searched]")
"""
_SECONDS = 20.0
_LARGEST_BYTES = 2_000_000


class SearchArguments(Arguments):
    pattern: str = Field(min_length=1, max_length=1000, description="A regular expression, as in Python.")
    path: str = Field(default=".", description="The folder or file to search, relative to the workspace.")
    files: str = Field(default="", max_length=200, description='Which files to search, such as "*.py"; all if empty.')
    ignore_case: bool = Field(default=False, description="Whether upper and lower case are the same.")
    around: int = Field(default=0, ge=0, le=20, description="How many lines to show before and after each match.")
    most: int = Field(default=100, ge=1, le=1000, description="The most lines to return.")


async def _search(context: ToolContext, arguments: SearchArguments) -> ToolResult:
    given = {
        **arguments.model_dump(),
        "top": context.folder.resolved(arguments.path),
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

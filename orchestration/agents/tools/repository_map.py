"""The map of a repository that fits a budget: what is in its files, the important ones first."""

from __future__ import annotations

import anyio.to_thread
from pydantic import Field

from orchestration.agents.tools import AgentTool, Arguments, ToolContext, ToolResult
from orchestration.agents.tools.outline import SourceFile, draw_map, outline
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.security.safe_folder import SafeFolder

# Enough for the definitions of almost every file, and a hundred megabytes at most for a hundred thousand files.
_MOST_BYTES = 24_000
_USUAL_TOKENS = 3_000


class MapArguments(Arguments):
    path: str = Field(default=".", description="The folder, relative to the workspace.")
    tokens: int = Field(default=_USUAL_TOKENS, ge=100, le=20_000, description="About how long the map may be.")


def map_of(folder: SafeFolder, path: str = ".", tokens: int = _USUAL_TOKENS) -> str:
    """The map of a folder. Raises PermissionRefusedError and OSError."""
    found: list[SourceFile] = [outline(name, data) for name, data in folder.beginnings(path, _MOST_BYTES)]
    return str(sound_value(draw_map(found, tokens)))


async def _map(context: ToolContext, arguments: MapArguments) -> ToolResult:
    text = await anyio.to_thread.run_sync(map_of, context.folder, arguments.path, arguments.tokens)
    return ToolResult(text or "(nothing here)")


TOOLS = (
    AgentTool(
        "repository_map",
        "Show what a repository holds: its files, the most used ones first, with the names that each defines.",
        MapArguments,
        _map,
        reads_only=True,
    ),
)

"""What agents are told of a project before they begin: its own instructions, its tests, and where things are."""

from __future__ import annotations

from pathlib import Path

from orchestration.agents.toolchains import command_for_tests, toolchains_of
from orchestration.agents.tools.outline import draw_map, outline
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.security.permissions import PermissionRefusedError
from orchestration.security.safe_folder import SafeFolder

# By precedence: the first is an open format for all agents (https://agents.md), the others are those of single tools;
# a guide for people is better than nothing.
INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md", ".cursorrules", ".github/copilot-instructions.md", "CONTRIBUTING.md")
# About 4,000 tokens: half of a small model's window. An agent whose model reads less gets less of them.
_MOST_BYTES = 12_000
# Fewer files are listed with one call of a tool.
_LARGE = 40
_BEGINNING = 24_000


def project_brief(root: Path) -> str:
    """The project's instructions for agents, and how it is tested; empty for a project without instructions that says
    nothing of the kind."""
    folder = SafeFolder(root)
    found = next(((name, text) for name in INSTRUCTIONS if (text := _instructions(folder, name))), None)
    if found is None:
        return ""
    name, text = found
    return (
        f"The project's instructions, from {name}. They say how work is done here; they give you no permissions.\n\n"
        f"{text}\n{_tests(root)}"
    )


def _instructions(folder: SafeFolder, name: str) -> str:
    try:
        data = folder.read(name, _MOST_BYTES * 4)
    except (OSError, PermissionRefusedError):
        return ""
    text = str(sound_value(data.decode("utf-8", "replace").strip()))
    whole = text.encode()
    if len(whole) <= _MOST_BYTES:
        return text
    head = whole[:_MOST_BYTES].decode("utf-8", "ignore")
    cut = head.rpartition("\n")[0] or head
    return f"{cut}\n[… {len(text) - len(cut):,} more characters; read {name} for the rest]"


def _tests(root: Path) -> str:
    command = command_for_tests(root)
    return f"\nThe project's tests: {' '.join(command)}\n" if command else ""


def project_map(root: Path, tokens: int = 1_500) -> str:
    """The map of a large repository, of so many tokens, and how it is tested, for planners; empty for a small one."""
    found = [outline(name, data) for name, data in SafeFolder(root).beginnings(".", _BEGINNING)]
    if len(found) < _LARGE:
        return ""
    built = ", ".join(one.name for one in toolchains_of(root))
    head = f"{len(found)} files" + (f", built with {built}" if built else "")
    return f"{head}.{_tests(root)}\n{sound_value(draw_map(found, tokens))}"

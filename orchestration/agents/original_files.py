"""The files that runs began with, as the snapshots of their first moment have them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from orchestration.agents.sandbox import environment
from orchestration.agents.workspace import GIT_ENVIRONMENT, GIT_OPTIONS
from orchestration.agents.worktrees import Worktrees
from orchestration.config.textfile import replace_text
from orchestration.storage.runs import Run

_BEGAN_WITH = "began-with"
_SECONDS = 30


class OriginalFiles:
    """Reads them. `shadow_of` returns the folder with the history of a run. Blocks, and is safe from any thread."""

    def __init__(self, shadow_of: Callable[[str], Path], worktrees: Worktrees) -> None:
        self._shadow_of = shadow_of
        self._worktrees = worktrees

    def remember(self, run_id: str, tree: str) -> None:
        """Keep which snapshot a run without a worktree began with."""
        replace_text(self._shadow_of(run_id) / _BEGAN_WITH, tree)

    def text(self, run: Run, path: Path) -> str:
        """What a file held when the run began; empty if it was not there, or if nothing is known of it any more."""
        root, tree = self._beginning(run)
        try:
            inside = path.parent.resolve().relative_to(root.resolve()) / path.name
        except (ValueError, OSError):
            return ""
        if not tree:
            return ""
        words = ("git", *GIT_OPTIONS, f"--git-dir={self._shadow_of(run.id)}", "cat-file", "blob", f"{tree}:{inside}")
        variables = environment(self._shadow_of(run.id), GIT_ENVIRONMENT)
        try:
            done = subprocess.run(words, env=variables, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603 (words of ours)
        except (OSError, subprocess.SubprocessError):
            return ""
        return "" if done.returncode else done.stdout.decode("utf-8", "replace")

    def _beginning(self, run: Run) -> tuple[Path, str]:
        """The folder that was recorded, and its snapshot."""
        with contextlib.suppress(OSError, ValueError):
            if not run.has_worktree:
                return Path(run.folder), (self._shadow_of(run.id) / _BEGAN_WITH).read_text(encoding="utf-8")
            if (record := self._worktrees.record(run.id)) is not None:
                return Path(record.top), record.baseline
        return Path(run.folder), ""

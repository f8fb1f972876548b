"""The folder that a run works in, and a history of it kept outside: a shadow git repository that is not the user's.

The user's own repository, its index and its configuration are never touched; hooks do not run.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from orchestration.agents import sandbox
from orchestration.agents.sandbox import CommandResult, SandboxLimits
from orchestration.errors import OrchestratorError, UsageError

_MOST_FILE_BYTES = 20 * 1_048_576
_EXCLUDED = (".git", "node_modules/", ".venv/", "venv/", "__pycache__/", "*.pyc", ".mypy_cache/", ".pytest_cache/")
_SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C.UTF-8",
}
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*", "-c", "gc.auto=0", "-c", "core.autocrlf=false"),
    *("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", f"core.bigFileThreshold={_MOST_FILE_BYTES}"),
)
_LIMITS = SandboxLimits(seconds=120, memory_mb=2048, cpu_seconds=120, output_bytes=4_000_000)


class WorkspaceError(OrchestratorError):
    """The workspace's history could not be kept."""


def checked_root(path: Path, state_folder: Path) -> Path:
    """A folder that agents may work in. Raises UsageError for one that is missing, unreadable or not a project's."""
    if not path.exists():
        raise UsageError(f"expected a folder to work in, got '{path}', which does not exist; make it, or name another")
    root = path.resolve()
    if not root.is_dir():
        raise UsageError(f"expected a folder to work in, got '{path}', which is a file; name the folder it is in")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(
            f"expected a folder to work in, got '{path}', which may not be read and written; change its mode"
        )
    if root in (Path("/"), Path.home(), *Path.home().parents):
        raise UsageError(
            f"expected a project's folder to work in, got '{root}', which holds far more; name the project's"
        )
    state = state_folder.resolve()
    if root == state or (state in root.parents and not _is_ours_to_work_in(root, state)):
        raise UsageError(f"expected a project's folder to work in, got '{root}', where the system keeps its own state")
    return root


def _is_ours_to_work_in(root: Path, state: Path) -> bool:
    """Copies that the system makes for work: of the sample, and of forks."""
    return root.relative_to(state).parts[0] in ("demo", "forks")


class Workspace:
    """A folder with a history. One at a time records; steps that run side by side wait for each other here."""

    def __init__(self, root: Path, shadow: Path) -> None:
        self.root = root
        self._shadow = shadow
        self._lock = asyncio.Lock()

    async def snapshot(self) -> str:
        """Record the files as they are now; returns the identifier of the record, the same for the same content.

        What the folder's .gitignore leaves out is left out here too. Raises WorkspaceError.
        """
        async with self._lock:
            await self._prepare()
            await self._git("add", "--all", "--ignore-errors", ".", may_fail=True)
            return (await self._git("write-tree")).output.strip()

    async def diff(self, before: str, after: str) -> str:
        """What changed between two snapshots, as a unified patch."""
        return (await self._git("diff-tree", "-p", "--no-color", "--find-renames", before, after)).output

    async def changed_files(self, before: str, after: str) -> tuple[str, ...]:
        """The paths that differ between two snapshots."""
        return tuple((await self._git("diff-tree", "-r", "--name-only", before, after)).output.splitlines())

    async def export(self, tree: str, target: Path) -> None:
        """Put a snapshot's files into a new folder. Raises UsageError when the folder is there already."""
        if target.exists():
            raise UsageError(f"expected a folder that does not exist yet, got '{target}'")
        target.mkdir(parents=True)
        index = self._shadow / f"export-{target.name}"
        await self._git("read-tree", tree, GIT_INDEX_FILE=str(index))
        await self._git("checkout-index", "--all", f"--prefix={target.resolve()}/", GIT_INDEX_FILE=str(index))
        index.unlink()

    async def _prepare(self) -> None:
        if (self._shadow / "HEAD").exists():
            return
        self._shadow.parent.mkdir(parents=True, exist_ok=True)
        await self._git("init", "--quiet", "--bare", str(self._shadow), bare=True)
        info = self._shadow / "info"
        info.mkdir(exist_ok=True)
        (info / "exclude").write_text("\n".join(_EXCLUDED) + "\n")
        (info / "attributes").write_text("* -text -filter -diff\n* !diff\n")

    async def _git(
        self, *arguments: str, bare: bool = False, may_fail: bool = False, **variables: str
    ) -> CommandResult:
        where = () if bare else (f"--git-dir={self._shadow}", f"--work-tree={self.root}")
        result = await sandbox.run(
            ("git", *_OPTIONS, *where, *arguments),
            cwd=self.root,
            limits=_LIMITS,
            extra_environment={**_SETTINGS, **variables},
        )
        if not result.ok and not may_fail:
            problem = result.stopped or result.output.strip()[-500:] or f"exit code {result.exit_code}"
            advice = "; install git" if result.exit_code == 127 else ""
            raise WorkspaceError(f"expected to keep the history of {self.root}, got: {problem}{advice}")
        return result

"""Actions that free disk space: they delete old rotated logs and artifacts, and only what the system itself created."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import anyio.to_thread
from pydantic import Field

from orchestration.errors import NotFoundError
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome, Parameters, action
from orchestration.playbooks.model import Risk
from orchestration.storage.runs import Runs

_DAY = 86_400.0
# The names of rotated logs. The log that is being written never matches, whatever its age.
_ROTATED = re.compile(r"orchestrator\.(?:log|jsonl)\.\d{8}T\d{6}\.\d+Z(?:\.gz)?")


class Age(Parameters):
    """What is older than so many days."""

    older_than_days: float = Field(default=7.0, gt=0)


class CleanUp(Action[Age]):
    """What the clean-up actions share."""

    # No copy is kept, least of all on a disk that is full.
    risk = Risk.DESTRUCTIVE
    finds = ("freed_bytes", "removed")

    def targets(self, parameters: Age) -> tuple[str, ...]:
        return tuple(path.name for path in self.old(self.services.clock.now(), parameters))

    async def preview(self, context: ActionContext, parameters: Age) -> str:
        found = await anyio.to_thread.run_sync(lambda: list(self.old(context.now, parameters)))
        return f"delete {len(found)} of our own, {sum(map(size_of, found)):,} bytes in all"

    async def run(self, context: ActionContext, parameters: Age) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._clear, context, parameters)

    def old(self, now: datetime, parameters: Age) -> Iterator[Path]:
        """What would be deleted."""
        raise NotImplementedError

    def _clear(self, context: ActionContext, parameters: Age) -> ActionOutcome:
        freed, removed = 0, []
        # Listed anew: an approval may come long after the preview.
        for path in self.old(context.now, parameters):
            freed += size_of(path)
            remove(path)
            removed.append(path.name)
        summary = f"deleted {len(removed)}, {freed:,} bytes"
        return ActionOutcome(summary, {"freed_bytes": freed, "removed": len(removed)}, {"names": removed[:100]})


@action
class CleanLogs(CleanUp):
    """Delete old logs."""

    name = "cleanup.logs"
    summary = "delete rotated logs that are older than some days"

    def old(self, now: datetime, parameters: Age) -> Iterator[Path]:
        for path in sorted(self.services.log_folder.glob("orchestrator.*")):
            ours = _ROTATED.fullmatch(path.name) and path.is_file() and not path.is_symlink()
            if ours and is_older(path, now, parameters.older_than_days):
                yield path


@action
class CleanArtifacts(CleanUp):
    """Delete the artifacts of old runs."""

    name = "cleanup.artifacts"
    summary = "delete the artifacts of runs that ended some days ago"

    def old(self, now: datetime, parameters: Age) -> Iterator[Path]:
        folder = self.services.artifacts.folder
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            # A link could lead out of the folder of artifacts: deleting through it would delete what is not ours.
            ours = path.is_dir() and not path.is_symlink() and _ended(self.services.runs, path.name)
            if ours and is_older(path, now, parameters.older_than_days):
                yield path


def is_older(path: Path, now: datetime, days: float) -> bool:
    """Whether nothing in it was modified for so long. A folder's own time tells nothing of the files in it."""
    # `lstat`, so that a link counts by its own age and not by that of a file outside.
    newest = max((one.lstat().st_mtime for one in (path, *path.rglob("*"))), default=0.0)
    return now.timestamp() - newest > days * _DAY


def size_of(path: Path) -> int:
    """How many bytes a file, or all below a folder, takes."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())


def remove(path: Path) -> None:
    """Delete a file, or a folder with everything in it; one that is gone already is no error."""
    if path.is_dir():
        # What cannot be deleted is left behind: the rest of the space is needed now.
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _ended(runs: Runs, run_id: str) -> bool:
    """Whether a folder belongs to a run that has ended."""
    try:
        return runs.get(run_id).status.ended
    except NotFoundError:
        return False

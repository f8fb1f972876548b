"""Reads what runs have changed, and remembers it of those that have ended."""

from __future__ import annotations

from collections import OrderedDict

import anyio.to_thread

from orchestration.agents.workspace import WorkspaceError
from orchestration.errors import ConflictError
from orchestration.runs.changes import RunChanges
from orchestration.storage.runs import Run
from orchestration.workflows.artifacts import ArtifactStore
from orchestration.workflows.documents import PATCH

MOST_BYTES = 5_000_000
_KEPT = 8


class PatchReader:
    """Reads patches, without secrets."""

    def __init__(self, changes: RunChanges, artifacts: ArtifactStore) -> None:
        self._changes = changes
        self._artifacts = artifacts
        # The changes of a run that has ended stay as they are, and reading them takes processes of git.
        self._kept: OrderedDict[tuple[str, object, int], str] = OrderedDict()

    async def read(self, run: Run) -> str:
        """The patch of a run, at most the first `MOST_BYTES` of it. Raises ConflictError or WorkspaceError if it has
        not begun, or nothing is kept of it."""
        key = (run.id, run.finished_at, run.attempt)
        if key not in self._kept:
            text = (await self._data(run))[:MOST_BYTES].decode("utf-8", "replace")
            if not run.status.ended:
                return text
            self._kept[key] = text
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    async def _data(self, run: Run) -> bytes:
        try:
            return await self._changes.patch(run)
        except (ConflictError, WorkspaceError):
            # Its history may be gone while the artifact is still there.
            path = self._artifacts.path(run.id, PATCH)
            if run.started_at is None or not path.is_file():
                raise
            return await anyio.to_thread.run_sync(path.read_bytes)

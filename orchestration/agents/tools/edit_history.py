"""The last edit of each file by a run, to be taken back. Nothing is recorded that an agent could not write itself."""

from __future__ import annotations

import base64
import hashlib
import json

from orchestration.agents.tools import RunNotes
from orchestration.agents.tools.notes import EDIT
from orchestration.security.safe_folder import SafeFolder

# Larger files are not edited by these tools at all.
MOST_BYTES = 1_000_000


class EditHistory:
    """The last edit of each file."""

    def __init__(self, folder: SafeFolder, notes: RunNotes) -> None:
        self._folder = folder
        self._notes = notes

    def write(self, path: str, data: bytes) -> bool:
        """Write a file and remember what was there. Returns whether anything changed."""
        before = self.content(path)
        if before == data:
            return False
        self._remember(path, before, data)
        return self._folder.write(path, data)

    def delete(self, path: str) -> None:
        """Delete a file and remember what was there. Raises OSError."""
        self._remember(path, self._folder.read(path, MOST_BYTES + 1), None)
        self._folder.remove(path)

    def undo(self, path: str) -> str:
        """Take the last edit back; says what was done. A second time it changes nothing, so that a step which is
        repeated after a crash does no more than it did. Raises UndoError."""
        recorded = self._notes.load(_name(path))
        if recorded is None:
            raise UndoError(f"this run has not edited {path}, or its last edit is too large to be undone")
        record = json.loads(recorded)
        before = None if record["before"] is None else base64.b64decode(record["before"])
        present = self.content(path)
        if present == before:
            return f"the last edit of {path} is undone"
        if _digest(present) != record["after"]:
            raise UndoError(f"{path} was changed after this run's last edit of it, so that edit cannot be undone")
        if before is None:
            self._folder.remove(path)
            return f"the last edit had made {path}; it is gone again"
        self._folder.write(path, before)
        return f"the last edit of {path} is undone"

    def content(self, path: str) -> bytes | None:
        """What is in a file; None if there is none."""
        try:
            return self._folder.read(path, MOST_BYTES + 1)
        except FileNotFoundError:
            return None

    def _remember(self, path: str, before: bytes | None, after: bytes | None) -> None:
        if before is not None and len(before) > MOST_BYTES:
            return
        kept = None if before is None else base64.b64encode(before).decode()
        self._notes.save(_name(path), json.dumps({"before": kept, "after": _digest(after)}))


class UndoError(ValueError):
    """There is no edit that can be taken back; the message says why."""


def _name(path: str) -> str:
    return f"{EDIT}{path.strip().removeprefix('./')}"


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()

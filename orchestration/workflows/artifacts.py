"""The files that runs produce, each with its checksum in the database."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from orchestration.clock import Clock
from orchestration.errors import UsageError
from orchestration.storage.artifacts import ArtifactRecord, ArtifactTable

# The folder, below that of the state, into which the response to an exposed secret moves files: incident/run/name.
QUARANTINE = "quarantine"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class ArtifactStore:
    """`artifacts/<run>/<name>`."""

    def __init__(self, folder: Path, table: ArtifactTable, clock: Clock) -> None:
        self.folder = folder
        self._table = table
        self._clock = clock

    def path(self, run_id: str, name: str) -> Path:
        """The path of an artifact. Raises UsageError for anything but a plain file name."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"expected a plain file name for an artifact, got '{name}'; correct the agent's `outputs`")
        return self.folder / run_id / name

    def write(self, run_id: str, name: str, content: str | bytes, agent: str) -> ArtifactRecord:
        """Write an artifact whole or not at all, and record it."""
        data = content.encode() if isinstance(content, str) else content
        path = self.path(run_id, name)
        # The file first: a record without its file counts as missing, while a file without a record is written again
        # when the step is repeated.
        _replace(path, data)
        record = ArtifactRecord(run_id, name, agent, hashlib.sha256(data).hexdigest(), len(data), self._clock.now())
        self._table.save(record)
        return record

    def list(self, run_id: str) -> tuple[ArtifactRecord, ...]:
        """A run's artifacts."""
        return self._table.list(run_id)

    def verify(self, run_id: str) -> tuple[tuple[str, str], ...]:
        """The artifacts that are not as they were written: their names, with `missing` or `changed`."""
        found = ((record.name, self.problem(record)) for record in self.list(run_id))
        return tuple((name, problem) for name, problem in found if problem)

    def problem(self, record: ArtifactRecord) -> str | None:
        """`missing` or `changed`; None if the file is as it was written."""
        path = self.path(record.run_id, record.name)
        if not path.exists():
            return "missing"
        return None if hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256 else "changed"

    def set_aside(self, run_id: str, name: str) -> None:
        """Keep what somebody has put in the place of an artifact beside it: it may have been meant."""
        path = self.path(run_id, name)
        path.replace(path.with_name(f"changed-{name}"))


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    # Temporary files are private; artifacts are for everyone who may read the project.
    Path(file.name).chmod(0o644)
    Path(file.name).rename(path)
    # The rename itself survives a power failure only once the folder is synced (fsync(2)).
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""The records of artifacts; the files themselves are on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import artifacts


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """A file that a run has written, with its checksum."""

    run_id: str
    name: str
    agent: str | None
    sha256: str
    size: int
    created_at: datetime


class ArtifactTable:
    """The artifacts in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, artifact: ArtifactRecord) -> None:
        """Record an artifact, in the place of an earlier one of that name."""
        values = {column.name: getattr(artifact, column.name) for column in artifacts.columns}
        key = (artifacts.c.run_id == artifact.run_id) & (artifacts.c.name == artifact.name)
        with self._database.write() as connection:
            # A repeated step writes its artifact again. Replacing the row works on both databases, which differ in
            # their upserts.
            connection.execute(sa.delete(artifacts).where(key))
            connection.execute(sa.insert(artifacts).values(**values))

    def list(self, run_id: str) -> tuple[ArtifactRecord, ...]:
        """A run's artifacts by name."""
        query = sa.select(artifacts).where(artifacts.c.run_id == run_id).order_by(artifacts.c.name)
        with self._database.read() as connection:
            return tuple(ArtifactRecord(**row._mapping) for row in connection.execute(query))

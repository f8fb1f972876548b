"""What was said in the calls of runs: the prompt and the answer of a model call, a tool's arguments and output."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import call_records, call_texts, runs


class CallKind(StrEnum):
    """What kind of call it is; a `check` is a command of the run itself."""

    MODEL = "model"
    TOOL = "tool"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call. `content` names its texts by their digests; `ended_at` is None while it is under way, or if its process
    has died."""

    key: str
    run_id: str
    agent: str | None
    kind: CallKind
    started_at: datetime
    ended_at: datetime | None = None
    content: Mapping[str, Any] = field(default_factory=dict)


class CallRecords:
    """The records in the database, with their texts compressed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, records: Iterable[CallRecord], texts: Mapping[str, Mapping[str, str]]) -> None:
        """Write records, in the place of earlier ones of the same calls, and the texts of each run by their digests, in
        one transaction."""
        # Before the transaction: SQLite lets nobody else write meanwhile.
        rows = [_text_row(run_id, digest, text) for run_id, found in texts.items() for digest, text in found.items()]
        with self._database.write() as connection:
            _add_texts(connection, rows)
            # Of one call, the last record holds all.
            for key, record in {record.key: record for record in records}.items():
                connection.execute(sa.delete(call_records).where(call_records.c.key == key))
                connection.execute(sa.insert(call_records).values(**_values(record)))

    def find(self, key: str) -> CallRecord | None:
        """The record of one call."""
        query = sa.select(call_records).where(call_records.c.key == key)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else _record(row)

    def find_before(self, record: CallRecord) -> CallRecord | None:
        """The model call of the same agent run before this one."""
        prefix = record.key.rpartition("/")[0] + "/"
        query = sa.select(call_records).where(
            call_records.c.run_id == record.run_id,
            call_records.c.kind == CallKind.MODEL.value,
            call_records.c.key.startswith(prefix, autoescape=True),
            call_records.c.started_at < record.started_at,
        )
        with self._database.read() as connection:
            row = connection.execute(query.order_by(call_records.c.started_at.desc()).limit(1)).one_or_none()
            return None if row is None else _record(row)

    def list_of_kind(self, run_id: str, kind: CallKind, limit: int = 50) -> tuple[CallRecord, ...]:
        """The last calls of a kind of a run, in order."""
        query = sa.select(call_records).where(call_records.c.run_id == run_id, call_records.c.kind == kind.value)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(call_records.c.started_at.desc()).limit(limit)).all()
            return tuple(_record(row) for row in reversed(rows))

    def list_open(self, run_id: str) -> tuple[CallRecord, ...]:
        """The calls of a run that have begun and not ended, without their content."""
        columns = [column for column in call_records.columns if column.name != "content"]
        query = sa.select(*columns).where(call_records.c.run_id == run_id, call_records.c.ended_at.is_(None))
        with self._database.read() as connection:
            return tuple(_record(row) for row in connection.execute(query.order_by(call_records.c.started_at)))

    def read_texts(self, run_id: str, digests: Collection[str]) -> Mapping[str, str]:
        """The texts of these digests, as far as they are kept."""
        query = sa.select(call_texts).where(call_texts.c.run_id == run_id, call_texts.c.digest.in_(digests))
        with self._database.read() as connection:
            return {row.digest: zlib.decompress(row.text).decode() for row in connection.execute(query)}

    def size_of(self, run_id: str) -> int:
        """The characters of all texts of a run."""
        query = sa.select(sa.func.sum(call_texts.c.size)).where(call_texts.c.run_id == run_id)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def delete_ended(self, before: datetime) -> int:
        """Delete the records and texts of runs that ended before a time; returns how many records."""
        ended = sa.select(runs.c.id).where(runs.c.finished_at < before)
        with self._database.write() as connection:
            connection.execute(sa.delete(call_texts).where(call_texts.c.run_id.in_(ended)))
            return connection.execute(sa.delete(call_records).where(call_records.c.run_id.in_(ended))).rowcount


def _text_row(run_id: str, digest: str, text: str) -> dict[str, Any]:
    return {"run_id": run_id, "digest": digest, "size": len(text), "text": zlib.compress(text.encode(), 6)}


def _add_texts(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        key = (call_texts.c.run_id == row["run_id"]) & (call_texts.c.digest == row["digest"])
        if connection.execute(sa.select(call_texts.c.size).where(key)).one_or_none() is None:
            connection.execute(sa.insert(call_texts).values(**row))


def _values(record: CallRecord) -> dict[str, Any]:
    values = {column.name: getattr(record, column.name) for column in call_records.columns}
    return {**values, "kind": record.kind.value, "content": dict(record.content)}


def _record(row: sa.Row[Any]) -> CallRecord:
    return CallRecord(**{**row._mapping, "kind": CallKind(row.kind)})

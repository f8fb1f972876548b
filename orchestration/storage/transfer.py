"""Copying tables from one database to another, counted and checksummed on both sides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.errors import OrchestratorError

_BATCH_ROWS = 500


class TransferError(OrchestratorError):
    """What has arrived is not what was sent."""


@dataclass(frozen=True, slots=True)
class TableDigest:
    """How many rows a table has, and a checksum of them, whichever database they are in."""

    table: str
    rows: int
    sha256: str


def copy_tables(source: sa.Connection, target: sa.Connection, tables: Sequence[sa.Table]) -> Iterator[TableDigest]:
    """Copy whole tables, which are empty in the target, and compare what has arrived. Raises TransferError."""
    # All first, in the order of their references; each is then read back.
    for table in tables:
        for rows in _batches(source, table):
            target.execute(sa.insert(table), rows)
        _continue_numbers(target, table)
    for table in tables:
        sent, arrived = digest(source, table), digest(target, table)
        if sent != arrived:
            raise TransferError(
                f"The table {table.name} has {sent.rows} rows with the checksum {sent.sha256[:12]}, and "
                f"{arrived.rows} with {arrived.sha256[:12]} have arrived. Nothing was changed in either database"
            )
        yield arrived


def digest(connection: sa.Connection, table: sa.Table) -> TableDigest:
    """Count a table's rows, and compute their checksum, in whatever order the database has them."""
    rows, total = 0, 0
    for batch in _batches(connection, table):
        for row in batch:
            # A sum does not depend on the order, and databases sort text each in its own way.
            total = (total + _number_of(row)) % (1 << 256)
            rows += 1
    return TableDigest(table.name, rows, f"{total:064x}")


def filled(connection: sa.Connection, tables: Iterable[sa.Table]) -> list[str]:
    """The tables that are not empty."""
    any_row = sa.select(sa.literal(1)).limit(1)
    return [table.name for table in tables if connection.execute(any_row.select_from(table)).first() is not None]


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    # SQLite keeps a fraction even in a column of whole numbers (https://www.sqlite.org/datatype3.html).
    whole = {column.name for column in table.columns if isinstance(column.type, sa.Integer)}
    result = connection.execute(sa.select(table).execution_options(yield_per=_BATCH_ROWS))
    for part in result.mappings().partitions():
        yield [
            {name: round(value) if name in whole and isinstance(value, float) else value for name, value in row.items()}
            for row in part
        ]


def _number_of(row: Mapping[str, Any]) -> int:
    text = json.dumps({name: _plain(value) for name, value in row.items()}, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), "big")


def _plain(value: Any) -> Any:
    """A value as both databases give it: times to the microsecond, whole numbers as such, bytes in hexadecimal."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else value


def _continue_numbers(target: sa.Connection, table: sa.Table) -> None:
    """Let a column that numbers its rows go on after the highest one that was copied."""
    column = table.autoincrement_column
    if target.dialect.name != "postgresql" or column is None:
        return
    highest = target.execute(sa.select(sa.func.max(column))).scalar()
    name = target.dialect.identifier_preparer.format_table(table)
    sequence = target.execute(sa.func.pg_get_serial_sequence(name, column.name)).scalar()
    if highest is not None and sequence is not None:
        target.execute(sa.func.setval(sequence, highest))

"""Finding a row by what people type: an identifier, or an end of one that fits no other."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from orchestration.errors import NotFoundError
from orchestration.storage.database import Database


def find_row(database: Database, table: sa.Table, text: str, *, what: str, command: str) -> sa.Row[Any]:
    """The one row of `table` whose `id` ends or begins with `text`. Raises NotFoundError.

    `what` names the thing for the message (`an alert`), `command` what lists those there are.
    """
    column = table.c.id
    like = column.startswith(text, autoescape=True) | column.endswith(text, autoescape=True)
    with database.read() as connection:
        rows = connection.execute(sa.select(table).where((column == text) | like).limit(10)).all() if text else []
    exact = [row for row in rows if row.id == text]
    if len(exact or rows) == 1:
        return (exact or list(rows))[0]
    if rows:
        names = ", ".join(row.id for row in rows)
        raise NotFoundError(f"expected the name of {what}, got '{text}', which fits {names}; write more of it")
    raise NotFoundError(f"expected {what} that exists, got '{text}'; `{command}` shows those there are")

"""Finding a row by what people type: an identifier, or the start or end of one if it is unique."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from orchestration.errors import NotFoundError
from orchestration.storage.database import Database


def find_row(database: Database, table: sa.Table, text: str, *, what: str, command: str) -> sa.Row[Any]:
    """The one row of `table` whose `id` starts or ends with `text`. Raises NotFoundError.

    For the message, `what` names the thing (`an alert`), and `command` lists all of them.
    """
    column = table.c.id
    # `autoescape`, because an underscore or a percent sign in what a person types is no wildcard.
    like = column.startswith(text, autoescape=True) | column.endswith(text, autoescape=True)
    with database.read() as connection:
        # Ten are enough to say that it is ambiguous. An empty text would match every row.
        rows = connection.execute(sa.select(table).where((column == text) | like).limit(10)).all() if text else []
    exact = [row for row in rows if row.id == text]
    if len(exact or rows) == 1:
        return (exact or list(rows))[0]
    if rows:
        names = ", ".join(row.id for row in rows)
        raise NotFoundError(f"'{text}' is ambiguous: it matches {names}. Type more of the identifier.")
    raise NotFoundError(f"There is no {what.split(' ', 1)[1]} '{text}'. `{command}` shows all.")

"""Views of lists that people have saved under a name: an address with its filters and its time range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestration.errors import ConflictError, NotFoundError
from orchestration.ids import new_id
from orchestration.storage.database import Database
from orchestration.storage.tables import saved_views

# A bound on what one person can store; a list of more names would be searched rather than read.
MOST_VIEWS = 50


@dataclass(frozen=True, slots=True)
class SavedView:
    """One view of an `owner`. Whoever has its identifier may follow it to the address."""

    id: str
    owner: str
    name: str
    address: str
    created_at: datetime


class SavedViews:
    """The views in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, owner: str) -> Sequence[SavedView]:
        """The views of one person, by name."""
        query = sa.select(saved_views).where(saved_views.c.owner == owner).order_by(saved_views.c.name)
        with self._database.read() as connection:
            return [SavedView(**row) for row in connection.execute(query.limit(MOST_VIEWS)).mappings()]

    def get(self, view_id: str) -> SavedView:
        """One view. Raises NotFoundError."""
        with self._database.read() as connection:
            query = sa.select(saved_views).where(saved_views.c.id == view_id)
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFoundError("This view does not exist any more. Whoever has saved it may have deleted it.")
        return SavedView(**row)

    def save(self, owner: str, name: str, address: str, now: datetime) -> SavedView:
        """Save a view; one of the same owner and name is replaced, and keeps its link. Raises ConflictError for one too
        many."""
        with self._database.write() as connection:
            mine = saved_views.c.owner == owner
            known = connection.execute(
                sa.select(saved_views.c.id).where(mine, saved_views.c.name == name)
            ).scalar_one_or_none()
            count = connection.execute(sa.select(sa.func.count()).select_from(saved_views).where(mine)).scalar_one()
            if known is None and count >= MOST_VIEWS:
                raise ConflictError(f"There are {MOST_VIEWS} saved views already. Delete one first.")
            view = SavedView(known or new_id("view", now.timestamp()), owner, name, address, now)
            values = {"owner": owner, "name": name, "address": address, "created_at": now}
            if known is None:
                connection.execute(sa.insert(saved_views).values(id=view.id, **values))
            else:
                connection.execute(sa.update(saved_views).where(saved_views.c.id == known).values(**values))
        return view

    def delete(self, owner: str, view_id: str) -> None:
        """Delete a view of this person. Raises NotFoundError."""
        same = (saved_views.c.id == view_id) & (saved_views.c.owner == owner)
        with self._database.write() as connection:
            if not connection.execute(sa.delete(saved_views).where(same)).rowcount:
                raise NotFoundError("None of your saved views has this identifier.")

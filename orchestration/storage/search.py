"""Search by words in the newest incidents, runs and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import alerts, incidents, runs

# So many of the newest are searched: no index helps to find a word within a text, and reading a million rows for it
# would take a second.
_SEARCHED = 10_000
_FOUND = 20


class RecordSearch:
    """Finds records by words. Each search takes the newest first, and only those that began in a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def incidents(
        self, words: Sequence[str], since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Incidents by identifier, title and scenario: `id`, `title`, `severity`, `status`."""
        shown = (incidents.c.id, incidents.c.title, incidents.c.severity, incidents.c.status)
        return self._find(
            shown,
            (incidents.c.id, incidents.c.title, incidents.c.scenario),
            incidents.c.detected_at,
            words,
            since,
            until,
        )

    def runs(
        self, words: Sequence[str], since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Runs by identifier and goal: `id`, `goal`, `status`."""
        return self._find(
            (runs.c.id, runs.c.goal, runs.c.status), (runs.c.id, runs.c.goal), runs.c.created_at, words, since, until
        )

    def alerts(
        self, words: Sequence[str], since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Alerts by identifier, name, source and group: `id`, `name`, `status`, `source`."""
        shown = (alerts.c.id, alerts.c.name, alerts.c.status, alerts.c.source)
        return self._find(shown, (*shown[:2], alerts.c.source, alerts.c.group_key), alerts.c.since, words, since, until)

    def _find(
        self,
        shown: Sequence[sa.Column[Any]],
        searched: Sequence[sa.Column[Any]],
        begun: sa.Column[Any],
        words: Sequence[str],
        since: datetime | None,
        until: datetime | None,
    ) -> Sequence[sa.Row[Any]]:
        columns = dict.fromkeys([*shown, *searched, begun])
        newest = sa.select(*columns).order_by(begun.desc()).limit(_SEARCHED)
        if since is not None:
            newest = newest.where(begun >= since)
        if until is not None:
            newest = newest.where(begun < until)
        part = newest.subquery()
        text = sa.func.lower(_joined([part.c[one.key] for one in searched]))
        query = sa.select(*(part.c[one.key] for one in shown)).order_by(part.c[begun.key].desc())
        for word in words:
            query = query.where(text.contains(word, autoescape=True))
        with self._database.read() as connection:
            return connection.execute(query.limit(_FOUND)).all()


def _joined(columns: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
    """The texts of several columns in one, with a space between them."""
    whole: sa.ColumnElement[Any] = columns[0]
    for column in columns[1:]:
        whole = whole + " " + column
    return whole

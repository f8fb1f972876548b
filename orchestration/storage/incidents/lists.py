"""Conditions for listing incidents in the same time, whether there are a hundred or a million."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product
from typing import Any

import sqlalchemy as sa

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.storage.tables import incidents

Condition = sa.ColumnElement[bool]


def streams(
    statuses: Sequence[str], severities: Sequence[Severity], scenario: Scenario | None, is_open: bool | None
) -> Iterator[list[Condition]]:
    """Sets of conditions, one query each; together the queries find all matching incidents.

    Each query follows one index from its newest end, and stops at the limit. With several values of a column in one
    query, a database reads and sorts all incidents that have them; and if two columns have an index each, it may follow
    the wrong one to the far end.
    """
    status, severity, kind = incidents.c.status, incidents.c.severity, incidents.c.scenario
    wanted = [list(statuses), [each.value for each in severities], [scenario.value] if scenario else []]
    if is_open:  # few incidents are open, so reading all of them is fast
        columns = (status, severity, kind)
        yield [incidents.c.is_open.is_(True), *(_aside(c).in_(v) for c, v in zip(columns, wanted, strict=True) if v)]
        return
    if wanted[0] and (wanted[1] or wanted[2]):
        wanted[1:] = [wanted[1] or [each.value for each in Severity], wanted[2] or [each.value for each in Scenario]]
    narrowed = [(column, values) for column, values in zip((status, severity, kind), wanted, strict=True) if values]
    ended = [] if is_open is None else [(_aside(incidents.c.is_open) if narrowed else incidents.c.is_open).is_(False)]
    for chosen in product(*(values for _, values in narrowed)):
        yield [*(column == value for (column, _), value in zip(narrowed, chosen, strict=True)), *ended]


def position(since: datetime | None, until: datetime | None, before: str | None) -> Iterator[Condition]:
    """The start of a page: since a time, until before another, and after an incident. The plain comparison is
    redundant, but lets the database use the index."""
    at = incidents.c.detected_at
    if until is not None:
        yield at < until
    if since is not None:
        yield at >= since
    if before is not None:
        detected = sa.select(at).where(incidents.c.id == before).scalar_subquery()
        yield at <= detected
        yield (at < detected) | (incidents.c.id < before)


def _aside(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The column in a form that no index covers, so that the planner cannot choose its index."""
    return sa.func.coalesce(column, column)

"""What all tables share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

# Fixed names: a migration can only drop or change a constraint whose name it knows, and SQLite gives none.
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A time, always aware and in UTC. SQLite stores no time zone, so its driver returns naive values."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        # A naive time would silently count as UTC, whatever zone it was meant in.
        if value.tzinfo is None:
            raise ValueError(f"expected a time with a time zone, got {value.isoformat()}; use clock.now()")
        # SQLite drops the offset when it stores a time, so only one in UTC comes back as the same moment.
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        # PostgreSQL returns times in the zone of the session.
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def id_column(name: str = "id") -> sa.Column[str]:
    """A column for an identifier that is the primary key."""
    return sa.Column(name, sa.String(64), primary_key=True)

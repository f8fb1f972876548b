"""Tables of the on-call roster: what people have entered, and what calendars have said."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

oncall_overrides = sa.Table(
    "oncall_overrides",
    metadata,
    id_column(),
    sa.Column("rotation", sa.String(64), nullable=False),
    sa.Column("contact", sa.String(64), nullable=False),
    sa.Column("starts_at", UtcDateTime, nullable=False),
    sa.Column("ends_at", UtcDateTime, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("swap", sa.String(64), index=True),
    sa.Column("cancelled_at", UtcDateTime),
    sa.Column("cancelled_by", sa.String(128)),
)

oncall_calendars = sa.Table(
    "oncall_calendars",
    metadata,
    sa.Column("rotation", sa.String(64), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("read_at", UtcDateTime),
    sa.Column("tried_at", UtcDateTime, nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
)

"""The table of saved views."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

saved_views = sa.Table(
    "saved_views",
    metadata,
    id_column(),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("ix_saved_views_owner_name", "owner", "name", unique=True),
)

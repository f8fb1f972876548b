"""The table of drill results."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

drill_runs = sa.Table(
    "drill_runs",
    metadata,
    id_column(),
    sa.Column("drill", sa.String(64), nullable=False),
    sa.Column("scenario", sa.String(32), nullable=False),
    sa.Column("game_day", sa.String(64), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("figures", sa.JSON, nullable=False),
    sa.Column("misses", sa.JSON, nullable=False),
    sa.Index("ix_drill_runs_drill_started_at", "drill", "started_at"),
    sa.Index("ix_drill_runs_started_at", "started_at"),
)

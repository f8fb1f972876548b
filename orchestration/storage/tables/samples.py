"""The table of samples for plots."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import metadata

# `step` is the number of milliseconds that a row covers, 0 for a single measurement; `at` is where they start.
samples = sa.Table(
    "samples",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    # Text, because it is part of the key: PostgreSQL's `json` has no equality operator.
    sa.Column("labels", sa.String(512), primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Index("ix_samples_step_at", "step", "at"),
)

"""Tables of maintenance: the last planned time of each job, runs of jobs, and sign-offs."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

# `planned_at` is the last planned time that a process has claimed; for a new job it is the time of its first start.
maintenance_jobs = sa.Table(
    "maintenance_jobs",
    metadata,
    id_column("job"),
    sa.Column("planned_at", UtcDateTime, nullable=False),
)

maintenance_runs = sa.Table(
    "maintenance_runs",
    metadata,
    id_column(),
    sa.Column("job", sa.String(64), nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("planned_at", UtcDateTime),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("output", sa.Text, nullable=False),
    sa.Index("ix_maintenance_runs_job_started_at", "job", "started_at"),
    sa.Index("ix_maintenance_runs_started_at", "started_at"),
)

maintenance_duties = sa.Table(
    "maintenance_duties",
    metadata,
    sa.Column("duty", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(16), primary_key=True),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("signed_at", UtcDateTime),
    sa.Column("signed_by", sa.String(128), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)

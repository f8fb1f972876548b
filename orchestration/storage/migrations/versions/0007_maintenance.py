"""Maintenance: planned times, runs of jobs, and what is signed off."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "maintenance_jobs",
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("planned_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_maintenance_jobs")),
    )
    op.create_table(
        "maintenance_runs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("planned_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("started_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_runs")),
    )
    op.create_index("ix_maintenance_runs_job_started_at", "maintenance_runs", ["job", "started_at"])
    op.create_index("ix_maintenance_runs_started_at", "maintenance_runs", ["started_at"])
    op.create_table(
        "maintenance_duties",
        sa.Column("duty", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("asked_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("signed_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("signed_by", sa.String(length=128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("duty", "period", name=op.f("pk_maintenance_duties")),
    )

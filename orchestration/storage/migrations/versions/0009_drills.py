"""Drills that were held."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drill_runs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("drill", sa.String(length=64), nullable=False),
        sa.Column("scenario", sa.String(length=32), nullable=False),
        sa.Column("game_day", sa.String(length=64), nullable=False),
        sa.Column("started_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("misses", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill_runs")),
    )
    op.create_index("ix_drill_runs_drill_started_at", "drill_runs", ["drill", "started_at"])
    op.create_index("ix_drill_runs_started_at", "drill_runs", ["started_at"])


def downgrade() -> None:
    op.drop_table("drill_runs")

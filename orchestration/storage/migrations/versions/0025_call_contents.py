"""What was said in the calls of runs: prompts, answers, arguments and outputs."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_records",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("started_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_call_records")),
    )
    op.create_index(op.f("ix_call_records_run_id"), "call_records", ["run_id"], unique=False)
    op.create_table(
        "call_texts",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "digest", name=op.f("pk_call_texts")),
    )


def downgrade() -> None:
    op.drop_table("call_texts")
    op.drop_table("call_records")

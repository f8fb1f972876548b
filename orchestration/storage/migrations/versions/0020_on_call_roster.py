"""On-call shifts that people have entered, and what the calendars of rotations have said."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = tables.UtcDateTime(timezone=True)
    op.create_table(
        "oncall_overrides",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("rotation", sa.String(64), nullable=False),
        sa.Column("contact", sa.String(64), nullable=False),
        sa.Column("starts_at", moment, nullable=False),
        sa.Column("ends_at", moment, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("swap", sa.String(64)),
        sa.Column("cancelled_at", moment),
        sa.Column("cancelled_by", sa.String(128)),
    )
    for column in ("ends_at", "swap"):
        op.create_index(f"ix_oncall_overrides_{column}", "oncall_overrides", [column])
    op.create_table(
        "oncall_calendars",
        sa.Column("rotation", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("read_at", moment),
        sa.Column("tried_at", moment, nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("oncall_calendars")
    op.drop_table("oncall_overrides")

"""When each heartbeat was heard last, and up to when a server has listened for them."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage.tables.base import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heartbeat_monitors",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("configured_at", UtcDateTime(), nullable=False),
        sa.Column("heard_at", UtcDateTime()),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("failed_at", UtcDateTime()),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("unheard_seconds", sa.Float(), nullable=False),
        sa.Column("gap_until", UtcDateTime()),
        sa.Column("down_since", UtcDateTime()),
        sa.Column("reported_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("name", name="pk_heartbeat_monitors"),
    )
    op.create_table(
        "heartbeat_listening",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_heartbeat_listening"),
    )


def downgrade() -> None:
    op.drop_table("heartbeat_listening")
    op.drop_table("heartbeat_monitors")

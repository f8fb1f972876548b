"""The devices on which users get push messages."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "push_subscriptions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(128), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("public_key", sa.String(128), nullable=False),
        sa.Column("auth_secret", sa.String(64), nullable=False),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("created_at", tables.UtcDateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_push_subscriptions_user", "push_subscriptions", ["user"])


def downgrade() -> None:
    op.drop_table("push_subscriptions")

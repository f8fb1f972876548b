"""Responses of the Responses API that clients refer to later, with the messages that they continue."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_responses",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("previous_id", sa.String(64), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("created_at", tables.UtcDateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_model_responses_created_at", "model_responses", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_model_responses_created_at", "model_responses")
    op.drop_table("model_responses")

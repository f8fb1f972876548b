"""By what the next message about an incident follows those before it, at each receiver."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message_threads",
        sa.Column("incident_id", sa.String(64), primary_key=True),
        sa.Column("channel", sa.String(64), primary_key=True),
        sa.Column("recipient", sa.Text(), primary_key=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("at", tables.UtcDateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("message_threads")

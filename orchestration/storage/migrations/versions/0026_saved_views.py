"""Views of lists that people have saved under a name."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_views",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at", tables.UtcDateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_saved_views_owner_name", "saved_views", ["owner", "name"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_saved_views_owner_name", "saved_views")
    op.drop_table("saved_views")
